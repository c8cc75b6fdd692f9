//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/perfevents"
	"golang.org/x/sys/unix"
)

// DeliveryObserve: a profiler without an engine. Its faults are those that the kernel counts, which package perfevents reads; regions
// are ranges of addresses. Nothing of the process is changed.

// Observable reports whether a profiler could observe page faults here without arming anything, see DeliveryObserve, and whether it
// would see those that system calls make. The error says why not, and what would change it; it wraps ErrNotSupported. It opens one
// perf event and closes it.
func Observable() (systemCalls bool, err error) {
	systemCalls, err = perfevents.Possible()
	return systemCalls, notObservable(err)
}

// notObservable gives an error of perf events its public name.
func notObservable(err error) error {
	if errors.Is(err, perfevents.ErrNotSupported) {
		return named{err, ErrNotSupported}
	}
	return err
}

// observes reports whether nothing is armed, and refused is the error of what needs that.
func (p *Profiler) observes() bool { return p.obs != nil }

func (p *Profiler) onlyObserves(what string) error {
	return fmt.Errorf("%w: %s: with DeliveryObserve nothing is armed", ErrNotSupported, what)
}

// newObserving is New with DeliveryObserve.
func newObserving(c config) (*Profiler, error) {
	text, textErr := functionTable()
	known := engine.MeasureGoRuntime(text, false)
	if forget != nil {
		forget(&known)
	}
	reader, err := perfevents.Open(perfevents.Config{Stacks: c.stacks.every != 0})
	if err != nil {
		return nil, fmt.Errorf("observe page faults: %w", notObservable(err))
	}
	p := newUnstarted(c, text, known)
	p.obs = newObserver(reader, known.Goid, known.Parent)
	p.binder = p.obs
	stats := &p.agg.stats
	if c.stacks.every != 0 {
		stats.StackSampling = StacksEvery().String() // the kernel takes them, or takes none
	}
	p.note("%s", observedBy(reader.UserOnly())) // before all others
	p.noteGo(known, textErr)
	p.done.Go(p.emptyLoop)
	p.done.Go(p.foldLoop)
	p.done.Go(p.lookLoop)
	return p, nil
}

// observedBy says how the faults were had, and what that cannot see.
func observedBy(userOnly bool) string {
	text := "observed by perf events, and nothing is armed: these are page faults as the kernel counts them. A page that the kernel maps together with one that faulted " +
		"(up to 16 that the page cache has, or a large folio) is not seen, nor one that was mapped before, and whether a touch reads or writes is not known"
	if userOnly {
		text += ". Faults inside system calls are not seen either: that needs CAP_PERFMON, or /proc/sys/kernel/perf_event_paranoid at 1 or less"
	}
	return text
}

// emptyWait is for how long the buffers are waited for; the fold empties them more often than that when there is little to do.
const emptyWait = 200

// emptyLoop empties the kernel's buffers when they fill up before the fold does.
func (p *Profiler) emptyLoop() {
	for {
		select {
		case <-p.stop:
			return
		default:
		}
		if p.obs.reader.Wait(emptyWait) {
			p.obs.empty()
		}
	}
}

// foldObserved moves what was observed to the aggregate, all of it where it is the last time. The caller holds foldMu.
func (p *Profiler) foldObserved(last bool) {
	p.obs.empty()
	for _, o := range p.obs.take(last) {
		p.foldSeen(&o)
	}
	p.releaseSpans()
}

func (p *Profiler) foldSeen(o *seen) {
	f := Fault{
		Seq: p.obs.seq, Time: time.Duration(o.Time), Address: o.Address, Offset: o.offset, Goroutine: o.goid, Span: SpanRef(o.span),
		Thread: int32(o.Thread), Region: o.region, Stack: p.stackSeen(o), Messages: 1, Access: AccessUnknown, Source: o.source,
	}
	p.obs.seq++
	switch o.Known {
	case perfevents.Measured:
		f.Stall = time.Duration(o.End - o.Time)
	case perfevents.AtMost:
		f.Stall, f.Wait = time.Duration(o.End-o.Time), WaitAtMost
	default:
		f.Wait = WaitUnknown
	}
	p.record(f, 0)
}

// stacksMost bounds the different stacks, as the engine's table does.
const stacksMost = 1 << 14

// stackSeen numbers the stack of a fault, and puts the caller of a function without a frame into it.
func (p *Profiler) stackSeen(o *seen) StackID {
	if p.config.stacks.every == 0 {
		return 0
	}
	pcs := o.Stack
	if len(pcs) == 0 {
		p.agg.stats.StacksMissed++
		return 0
	}
	if !p.frames {
		pcs = pcs[:1]
	} else if o.Return != 0 && p.text != nil {
		if delta, ok := p.text.SPDelta(pcs[0]); ok && delta == 0 && p.text.IsReturnAddress(o.Return) {
			pcs = slices.Insert(slices.Clone(pcs), 1, o.Return)
		}
	}
	if len(pcs) >= perfevents.StackDepth {
		p.agg.stats.StacksCut++
	}
	if len(p.agg.stacks.pcs) >= stacksMost && !p.agg.stacks.has(pcs) {
		p.agg.stats.StacksCut++
		return 0
	}
	return p.agg.stacks.add(pcs)
}

// collectObserved is collect without an engine. The caller holds foldMu.
func (p *Profiler) collectObserved() {
	s, o := &p.agg.stats, p.obs.counts()
	if n := o.lost - s.Dropped; n > 0 {
		p.agg.event(engine.Now(), EventDropped, "", "the kernel's buffers were full: at most so many page faults, of whatever memory", n)
		p.noteLocked("the kernel's buffers of %d KiB a processor were full: records dropped are counted of all of the process's memory, begin and end of a fault each, so that at most so many faults are missing", p.obs.reader.Buffer()>>10)
	}
	s.Dropped, s.Faults, s.Messages = o.lost, s.Records+o.lost, s.Records+o.lost
	s.Waiting, s.Overhead, s.Elsewhere = uint64(o.waiting), o.overhead, o.elsewhere
	p.spanMu.Lock()
	s.SpansDropped = p.lost
	p.spanMu.Unlock()
	if gone, all := p.obs.reader.Gone(); gone > 0 {
		p.noteFirstLocked("%d of the %d perf events were closed by the application, which closed descriptors that are not its own: the page faults of some of its threads are not seen any more", gone, all)
	}
	if p.agg.crowded {
		p.noteLocked("faults were made by more than %d threads: those of the others are added up as thread 0", threadsMost)
	}
	if o.unreadable != nil {
		p.noteLocked("goroutines outside of spans are not known: their ids cannot be read: process_vm_readv: %v", o.unreadable)
	}
}

// seeFile takes over the mappings of the region's file as a look has them. The caller holds r.mu.
func (r *Region) seeFile(l *Look) error {
	list := l.of(r.file)
	if len(list) > 0 && r.file.taken(strings.TrimSuffix(list[0].path, " (deleted)")) {
		return r.detach()
	}
	before := r.maps
	r.maps = nil
	for _, m := range list {
		i := slices.IndexFunc(before, func(o *mapping) bool { return o.Lo == m.lo && o.Hi == m.hi && o.Offset == m.offset })
		if i >= 0 {
			r.maps = append(r.maps, before[i])
			continue
		}
		since := r.complete // what happened since then has waited for this look
		if since == 0 {
			since = l.at
		}
		r.maps = append(r.maps, r.seen(m.lo, m.hi, m.offset, m.prot, since))
	}
	r.complete = l.at
	r.watch(l.at)
	size := r.fileSize()
	if !slices.Equal(before, r.maps) || size != r.lastSize {
		r.lastSize = size
		r.publishMaps(size)
	}
	return nil
}

// seeRange observes memory at fixed addresses, from lo on. The caller holds r.mu.
func (r *Region) seeRange(lo, hi uintptr) {
	now := engine.Now()
	r.maps = []*mapping{r.seen(lo, hi, 0, 0, now)}
	r.watch(now)
}

func (r *Region) seen(lo, hi uintptr, offset int64, prot int, since time.Duration) *mapping {
	return &mapping{
		Target: &engine.Target{Lo: lo, Hi: hi, Offset: offset, Granule: uintptr(r.config.granule), Region: uint32(r.id), Since: since},
		means:  byEye, prot: prot,
	}
}

// watch has the observer know the region's mappings, as they were at a time.
func (r *Region) watch(at time.Duration) {
	w := watchedRegion{id: r.id, file: r.file, granule: int64(r.config.granule), anonymous: r.file == nil, since: at}
	for _, m := range r.maps {
		w.since = min(w.since, m.Since)
		w.ranges = append(w.ranges, addrRange{m.Lo, m.Hi, m.Offset})
	}
	r.p.obs.watch(w, at)
}

// readOwnMaps is what the engine's clerk does for those who have one.
func readOwnMaps() ([]procMap, error) {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	return parseMaps(text)
}

// mapPlain maps the memory of an arena as plain memory.
func (r *Region) mapPlain(size int) error {
	b, err := newPlain(size)
	if err != nil {
		return err
	}
	r.bytes = b
	lo, hi := bounds(b)
	r.seeRange(lo, hi)
	return nil
}

// attachSeen is AttachRange where nothing is armed.
func (p *Profiler) attachSeen(name string, lo, hi uintptr, opts []RegionOption) (*Region, error) {
	r, err := p.newRegion(name, KindMemory, int64(hi-lo), opts)
	if err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	r.seeRange(lo, hi)
	r.publishMaps(int64(hi - lo))
	return r, nil
}

// placesOf says where of a mapping mincore(2) tells what is in memory.
func (r *Region) placesOf(m *mapping) (at []uintptr, ok bool) {
	if m.means != byEye {
		return m.Places()
	}
	return []uintptr{m.Lo}, r.file == nil || r.file.mincore
}

// threadTime is the processor time of the calling thread, to which its goroutine is bound.
func threadTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
