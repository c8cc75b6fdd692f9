package agent

import (
	"context"
	"errors"
	"slices"

	"github.com/firsttouch/firsttouch/profiler"
)

// AttachFile profiles the mappings of one file that other code made or will make, see
// profiler.Profiler.AttachFile. Use it instead of WithFiles where the owner of the mappings can
// offer a guard, or right after a file was mapped, so that no touch is missed.
// On an agent that does nothing the error is ErrNotSupported with the reason; a service that
// does not depend on being profiled ignores that one.
func (a *Agent) AttachFile(path string, opts ...profiler.RegionOption) (*profiler.Region, error) {
	if !a.observes() {
		return nil, a.refused(path)
	}
	r, err := a.prof.AttachFile(path, opts...)
	if err != nil {
		return nil, err
	}
	a.own(r)
	return r, nil
}

// Look waits until the mappings of the process have been looked at once more, from now on, and what matches WithFiles is
// observed. Start does not wait for that, and later mappings are found every so often (WithRescan): a service that wants the
// first touches of what it has just mapped calls Look before it touches. Where the agent does nothing it answers at once. The
// error is that of the context.
func (a *Agent) Look(ctx context.Context) error {
	if !a.observes() {
		return nil
	}
	err := a.prof.Look(ctx)
	if errors.Is(err, profiler.ErrClosed) {
		return nil // it was taken off meanwhile
	}
	return err
}

// attachHeap profiles the Go heap if it is to be.
func (a *Agent) attachHeap(p *profiler.Profiler) error {
	if a.cfg.goHeap == 0 {
		return nil
	}
	if _, err := a.attachHeapTo(p, profiler.WithHeapShare(a.cfg.goHeap)); a.cfg.required {
		return err
	}
	return nil
}

func (a *Agent) attachHeapTo(p *profiler.Profiler, opts ...profiler.RegionOption) (*profiler.Region, error) {
	r, err := p.AttachGoHeap(opts...)
	if err != nil {
		a.note("the Go heap is not profiled: %v", err)
		return nil, err
	}
	a.own(r)
	return r, nil
}

// AttachGoHeap profiles a share of the heap of the Go runtime, see profiler.Profiler.AttachGoHeap and what it
// costs there. Where it cannot be profiled, Notes says so too. On an agent that does nothing the error is
// ErrNotSupported with the reason.
func (a *Agent) AttachGoHeap(opts ...profiler.RegionOption) (*profiler.Region, error) {
	if !a.observes() {
		return nil, a.refused("the Go heap")
	}
	return a.attachHeapTo(a.prof, opts...)
}

// AttachRange profiles memory that exists, by its addresses, see profiler.Profiler.AttachRange: an off-heap
// cache, shared memory, the heap of C code. The list of mappings that the handler serves says of what it can
// be done. On an agent that does nothing the error is ErrNotSupported with the reason.
func (a *Agent) AttachRange(name string, start, end uintptr, opts ...profiler.RegionOption) (*profiler.Region, error) {
	if !a.observes() {
		return nil, a.refused(name)
	}
	r, err := a.prof.AttachRange(name, start, end, opts...)
	if err != nil {
		return nil, err
	}
	a.own(r)
	return r, nil
}

// own remembers regions, to arm them again at the start of a window, and begins their windows. Those that have closed are forgotten.
func (a *Agent) own(regions ...*profiler.Region) {
	if w := a.windows.Load(); w != nil && len(regions) > 0 {
		w.Add(regions...)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.regions = append(slices.DeleteFunc(a.regions, (*profiler.Region).Closed), regions...)
}

// disown forgets a region that was closed.
func (a *Agent) disown(r *profiler.Region) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.regions = slices.DeleteFunc(a.regions, func(q *profiler.Region) bool { return q == r })
}

func (a *Agent) owned() []*profiler.Region {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(a.regions), (*profiler.Region).Closed)
}
