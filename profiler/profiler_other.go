//go:build !linux || !(amd64 || arm64)

package profiler

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Profiler observes the first touches of its regions. It exists on Linux, amd64 and arm64;
// elsewhere New answers ErrNotSupported.
type Profiler struct{}

// Region is a named range of memory whose first touches are observed.
type Region struct{}

func (r *Region) inTurn(uint64) bool { return true }

// Span is a unit of work that faults are attributed to. A nil Span is valid and does nothing.
type Span struct{}

func notHere() error {
	return fmt.Errorf("%w: the profiler needs Linux on amd64 or arm64, this is %s/%s", ErrNotSupported, runtime.GOOS, runtime.GOARCH)
}

// New answers ErrNotSupported.
func New(opts ...Option) (*Profiler, error) {
	if err := Check(opts...); err != nil {
		return nil, err
	}
	return nil, notHere()
}

// Observable answers ErrNotSupported.
func Observable() (systemCalls bool, err error) { return false, notHere() }

// Dump says that there is none.
func Dump() string { return notHere().Error() + "\n" }

// Close does nothing.
func (p *Profiler) Close() error { return nil }

// NewArena answers ErrNotSupported.
func (p *Profiler) NewArena(string, int, ...RegionOption) (*Region, error) { return nil, notHere() }

// MapFile answers ErrNotSupported.
func (p *Profiler) MapFile(string, ...RegionOption) (*Region, error) { return nil, notHere() }

// AttachFile answers ErrNotSupported.
func (p *Profiler) AttachFile(string, ...RegionOption) (*Region, error) { return nil, notHere() }

// Look is one look at the mappings of the process.
type Look struct{}

// Files returns nil.
func (l *Look) Files() map[MappedFile]MappedAs { return nil }

// AttachFile answers ErrNotSupported.
func (l *Look) AttachFile(string, ...RegionOption) (*Region, error) { return nil, notHere() }

// AttachFiles answers ErrNotSupported for each.
func (l *Look) AttachFiles(files []FoundFile) ([]*Region, []error) {
	errs := make([]error, len(files))
	for i := range errs {
		errs[i] = notHere()
	}
	return make([]*Region, len(files)), errs
}

// Looks returns 0.
func (p *Profiler) Looks() (n uint64, every time.Duration) { return 0, 0 }

// Watch does nothing.
func (p *Profiler) Watch(func(*Look)) {}

// Look answers ErrNotSupported.
func (p *Profiler) Look(context.Context) error { return notHere() }

// AttachMemory answers ErrNotSupported.
func (p *Profiler) AttachMemory(string, []byte, ...RegionOption) (*Region, error) {
	return nil, notHere()
}

// AttachRange answers ErrNotSupported.
func (p *Profiler) AttachRange(string, uintptr, uintptr, ...RegionOption) (*Region, error) {
	return nil, notHere()
}

// AttachMapping answers ErrNotSupported.
func (p *Profiler) AttachMapping(Mapping, ...RegionOption) (*Region, error) { return nil, notHere() }

// Mappings answers ErrNotSupported.
func (p *Profiler) Mappings() ([]Mapping, error) { return nil, notHere() }

// AttachGoHeap answers ErrNotSupported.
func (p *Profiler) AttachGoHeap(...RegionOption) (*Region, error) { return nil, notHere() }

// Flush does nothing.
func (p *Profiler) Flush() {}

// Snapshot returns an empty snapshot.
func (p *Profiler) Snapshot() *Snapshot { return NewSnapshotBuilder().Snapshot() }

// Frames returns nil.
func (p *Profiler) Frames(StackID) []runtime.Frame { return nil }

// RegionGroup returns "".
func (p *Profiler) RegionGroup(RegionID) string { return "" }

// RegionName returns "".
func (p *Profiler) RegionName(RegionID) string { return "" }

// Granule returns 0.
func (p *Profiler) Granule(RegionID) int { return 0 }

// RegionSize returns 0.
func (p *Profiler) RegionSize(RegionID) int64 { return 0 }

// RegionUnseen returns 0.
func (p *Profiler) RegionUnseen(RegionID) time.Duration { return 0 }

// Span returns nothing.
func (p *Profiler) Span(SpanRef) (SpanStats, bool) { return SpanStats{}, false }

// RegionsOf returns nothing.
func (p *Profiler) RegionsOf([]byte) []*Region { return nil }

// Resident returns nothing.
func (p *Profiler) Resident() map[RegionID]int64 { return nil }

// Stalled returns 0.
func (p *Profiler) Stalled() int { return 0 }

// StartSpan returns nil.
func (p *Profiler) StartSpan([16]byte, [8]byte) *Span { return nil }

// SetSampling answers ErrNotSupported.
func (p *Profiler) SetSampling(float64) error { return notHere() }

// Cost returns nothing.
func (p *Profiler) Cost() Cost { return Cost{} }

// Health returns nothing.
func (p *Profiler) Health() Health { return Health{} }

// SetOff does nothing.
func (p *Profiler) SetOff(string) {}

// Budget returns no budget.
func (p *Profiler) Budget() Budget { return Budget{} }

// Observed returns nothing.
func (r *Region) Observed() (share, wanted float64) { return 0, 0 }

// SetSampling answers ErrNotSupported.
func (r *Region) SetSampling(float64) error { return notHere() }

// ID returns 0.
func (r *Region) ID() RegionID { return 0 }

// Name returns "".
func (r *Region) Name() string { return "" }

// Bytes returns nil.
func (r *Region) Bytes() []byte { return nil }

// Rearm answers ErrNotSupported.
func (r *Region) Rearm() error { return notHere() }

// Rearm answers ErrNotSupported.
func (p *Profiler) Rearm(regions ...*Region) []error {
	return slices.Repeat([]error{notHere()}, len(regions))
}

// Advise answers ErrNotSupported.
func (r *Region) Advise(string, int64, int64) (int64, error) { return 0, notHere() }

// Closed returns true.
func (r *Region) Closed() bool { return true }

// Close does nothing.
func (r *Region) Close() error { return nil }

func (p *Profiler) watch(RegionID, *touches) (time.Duration, uint64) { return 0, 0 }

func (p *Profiler) unwatch(RegionID, *touches) {}

func (p *Profiler) cut(regions []*windowed) []cut { return make([]cut, len(regions)) }

// Ref returns 0.
func (s *Span) Ref() SpanRef { return 0 }

// MarkUnsampled does nothing.
func (s *Span) MarkUnsampled() {}

// End returns empty totals.
func (s *Span) End() SpanStats { return SpanStats{} }

// Bind does nothing.
func (s *Span) Bind() (unbind func()) { return func() {} }

// Faults returns nil.
func (s *Span) Faults() []Fault { return nil }

// Release does nothing.
func (s *Span) Release() {}
