//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/internal/calls"
	"github.com/firsttouch/firsttouch/internal/engine"
	"golang.org/x/sys/unix"
)

// collectEvery is after how many folds the engine's counters are looked at: once a second.
const collectEvery = 20

func (p *Profiler) foldLoop() {
	tick := time.NewTicker(foldEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-p.stop:
			return
		case <-tick.C:
			p.foldMu.Lock()
			p.lookSignal()
			p.fold()
			p.block()
			if n%collectEvery == 0 {
				p.collect() // so that its events have their time
				p.agg.age(p.binder.Folded(), p.held, engine.Now())
			}
			p.foldMu.Unlock()
		}
	}
}

// held reports whether something still counts for a region. The caller holds foldMu.
func (p *Profiler) held(id RegionID) bool {
	return len(p.watched[id]) > 0 || p.eng != nil && p.eng.WaitsFor(func(target uint32) bool { return RegionID(p.targets[target].Region) == id })
}

// block takes over for how long Ps were held. The caller holds foldMu.
func (p *Profiler) block() {
	if p.eng == nil {
		return
	}
	p.lookProcs()
	h := p.eng.Held()
	p.agg.block(engine.Now(), h.Sum, h.Any, h.All, &p.gc)
}

func (p *Profiler) lookProcs() {
	n := runtime.GOMAXPROCS(0)
	p.eng.SetProcs(n)
	p.agg.stats.Blocked.Procs = n
}

// lookSignal notes when other code has taken the signal that asks threads. The caller holds foldMu.
func (p *Profiler) lookSignal() {
	if p.eng == nil {
		return
	}
	p.eng.LookSignal()
	for _, news := range p.eng.SignalNews() {
		p.noteLocked("%s", news)
	}
}

// fold moves every finished record from the ring to the aggregate. The caller holds foldMu.
func (p *Profiler) fold() {
	if p.eng == nil {
		if p.obs != nil && p.binder != nil {
			p.foldObserved(false)
		}
		return
	}
	for {
		rec, ok := p.eng.Next()
		if !ok {
			break
		}
		p.foldOne(&rec)
	}
	p.eng.ReadyRing()
	p.releaseSpans()
	p.eng.Recycle(func(target uint32) { delete(p.targets, target) })
}

func (p *Profiler) foldOne(rec *engine.Finished) {
	t := p.targets[rec.Target]
	f := Fault{
		Seq: rec.Seq, Time: time.Duration(rec.Time), Address: rec.Address,
		Offset: int64(rec.Address-t.Lo) + t.Offset, Stall: time.Duration(rec.Stall),
		Goroutine: rec.Goid, Span: SpanRef(rec.Span), Thread: int32(rec.Thread),
		Region: RegionID(t.Region), Stack: p.stack(rec.Stack), Messages: rec.Messages,
		Access: Access(rec.Access), Source: sources[rec.Source],
	}
	r := p.agg.region(f.Region)
	if r.Kind == KindGoHeap {
		f.Actor = p.actor(f.Stack, rec.Flags)
	}
	switch {
	case rec.Flags&engine.FlagStallUnknown != 0:
		f.Wait = WaitUnknown
	case rec.Flags&engine.FlagStallBound != 0:
		f.Wait = WaitAtMost
	}
	if rec.Flags&engine.FlagStackMissed != 0 {
		p.agg.stats.StacksMissed++
	}
	if rec.Flags&engine.FlagStackCut != 0 {
		p.agg.stats.StacksCut++
	}
	p.record(f, rec.Blocked/time.Duration(max(p.agg.stats.Blocked.Procs, 1)))
}

// record counts a fault, with the share of its thread in what all Ps were held for. The caller holds foldMu.
func (p *Profiler) record(f Fault, blocked time.Duration) {
	p.nameSpan(f)
	f = p.agg.observe(f, blocked)
	granule := uint64(p.agg.region(f.Region).Granule)
	for _, w := range p.watched[f.Region] {
		w.add(uint64(f.Offset)/granule, f.Source, f.Actor)
	}
	for _, observe := range p.config.observe {
		observe(f)
	}
}

var sources = [...]Source{
	engine.SourceUnknown: SourceUnknown, engine.SourceZero: SourceZero,
	engine.SourcePageCache: SourcePageCache, engine.SourceDisk: SourceDisk, engine.SourceMemory: SourceMemory,
}

// stack turns the engine's number into a StackID, repairing what frame pointers lose: a function
// without a frame (memmove, small leaves) is followed by its caller's caller. The word at its stack
// pointer, or the link register, is its return address.
func (p *Profiler) stack(number uint32) StackID {
	if number == 0 {
		return 0
	}
	if id, ok := p.stackOf[number]; ok {
		return id
	}
	pcs, word := p.eng.Stack(number)
	if word != 0 && p.text != nil {
		if delta, ok := p.text.SPDelta(pcs[0]); ok && delta == 0 && p.text.IsReturnAddress(word) {
			pcs = slices.Insert(pcs, 1, word)
		}
	}
	id := p.agg.stacks.add(pcs)
	p.stackOf[number] = id
	return id
}

// actor tells on whose behalf the Go heap was touched.
func (p *Profiler) actor(stack StackID, flags uint16) Actor {
	if flags&engine.FlagOwn != 0 {
		return ActorProfiler
	}
	a, known := p.actors[stack]
	if !known {
		a = actorOf(p.agg.stacks.frames(stack))
		if !p.frames && a != ActorProfiler && a != ActorGC || p.renamed && a == ActorRuntime {
			a = ActorUnknown
		}
		p.actors[stack] = a
	}
	return a
}

// flushMost bounds a Flush: a record may wait for a signal handler that never runs.
const flushMost = time.Second

// Flush waits until every fault that was claimed before the call has been counted, at most a
// second.
func (p *Profiler) Flush() {
	head, ok := p.foldTo(0)
	for end := engine.Now() + flushMost; !ok && engine.Now() < end; {
		time.Sleep(100 * time.Microsecond) // without the lock
		_, ok = p.foldTo(head)
	}
}

// foldTo folds what is finished, and reports whether that is all up to head; 0 is what was claimed now.
func (p *Profiler) foldTo(head uint64) (uint64, bool) {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	if p.binder == nil {
		return head, true
	}
	if head == 0 {
		head = p.binder.Head()
	}
	p.fold()
	return head, p.binder.Folded() >= head
}

// Snapshot returns what was seen until now. It costs a copy of the totals, not of the faults, and
// goes on while faults arrive.
func (p *Profiler) Snapshot() *Snapshot {
	p.Flush()
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	p.collect()
	return p.agg.snapshot(time.Now(), engine.Now())
}

// collect takes over the engine's counters. The caller holds foldMu.
func (p *Profiler) collect() {
	if p.eng == nil {
		if p.obs != nil && p.binder != nil {
			p.collectObserved()
		}
		return
	}
	p.lookSignal()
	p.block()
	e, s := p.eng.Stats(), &p.agg.stats
	// Faults that are claimed and not yet folded belong to the next snapshot.
	now := engine.Now()
	if n := e.Dropped - s.Dropped; n > 0 {
		p.agg.event(now, EventDropped, "", "the ring was full (WithRing)", n)
	}
	if n := e.Errors - s.ResolveErrs; n > 0 {
		p.agg.event(now, EventError, "", unix.Errno(e.LastErr).Error(), n)
	}
	s.Waiting = uint64(p.eng.Waiting())
	s.Faults, s.Dropped, s.Messages = s.Records+e.Dropped, e.Dropped, e.Messages
	s.ResolveErrs, s.Overhead = e.Errors, e.Overhead
	s.Stops, s.Stopped = e.Stops, e.Stopped
	s.Signal, s.SignalTaken = p.eng.Signal(), p.eng.SignalTaken()
	p.spanMu.Lock()
	s.SpansDropped = p.lost
	p.spanMu.Unlock()
	switch {
	case p.config.delivery == DeliverySignal:
		s.Placement = "the thread that faults"
	case p.eng.Follows():
		s.Placement = "follows the thread that faults"
	default:
		s.Placement = "left to the scheduler"
	}
	for _, c := range p.counted {
		r := c.RegionStats
		p.take(r, c.eng)
		if r.Heap != nil {
			h := *r.Heap // snapshots have the other one
			h.read()
			r.Heap = &h
		}
	}
	if u := os.Geteuid(); u >= 0 && u != p.user { // negative where that is refused
		p.noteLocked("the process was started as user %d and is user %d now: the engine's threads still are what it was, so start the profiler after the change", p.user, u)
	}
	if e.Failed != 0 {
		p.noteFirstLocked("the kernel's messages cannot be read (%v): every region is plain memory again, and nothing is observed", unix.Errno(e.Failed))
	}
	if errno, over := p.eng.Muted(); over {
		p.noteFirstLocked("%s is refused since the profiler started (%v): every region is plain memory again, and nothing is observed; %s", p.eng.MutedBy(), errno, calls.Remedy)
	} else if errno != 0 {
		p.noteFirstLocked("%s is refused since the profiler started (%v): every region is to become plain memory, and until then who touches what is armed waits; %s", p.eng.MutedBy(), errno, calls.Remedy)
	}
	if e.Relieved != 0 {
		p.noteLocked("a thread of the engine stood still for 2 s or more while threads of the program waited: its watchdog answered in its place")
	}
	if e.LastErr != 0 {
		s.LastError = unix.Errno(e.LastErr).Error()
	}
	if p.agg.crowded {
		p.noteLocked("faults were made by more than %d threads: those of the others are added up as thread 0", threadsMost)
	}
	p.collectRefusals(&e, now)
}

// take takes over what the engine has counted for a region. The caller holds foldMu.
func (p *Profiler) take(r *RegionStats, eng *engine.Region) {
	v := eng.Totals()
	if n := v.Widened - r.Widened; n > 0 {
		p.agg.event(engine.Now(), EventWidened, r.Name, "to stay below vm.max_map_count", n)
	}
	if n := v.Left - r.Left; n > 0 {
		p.agg.event(engine.Now(), EventLeft, r.Name, "the kernel has pinned them", n)
	}
	r.Messages, r.CoTouch, r.Widened, r.Left, r.Discarded = v.Messages, v.CoTouch, v.Widened, v.Left, v.Discarded
}

// waitsFor is how long ago a restore was refused last while a thread waits for it: it is tried every millisecond.
const waitsFor = time.Second

// collectRefusals says what the kernel, or a seccomp filter, refuses since the engine has started. The caller holds
// foldMu.
func (p *Profiler) collectRefusals(e *engine.Stats, now time.Duration) {
	p.noteRefused()
	for _, b := range p.eng.Barred() {
		if slices.ContainsFunc(p.refused, func(r calls.Refusal) bool { return strings.Contains(r.Name, b.Call) }) {
			continue
		}
		p.noteLocked("%s is refused since the profiler started (%v): memory that needs it is plain memory again once it is touched, or cannot be armed again; allow it in the process's seccomp filter", b.Call, b.Errno)
	}
	if e.Unsent != nil {
		p.noteLocked("stacks of faults, and goroutines where only their thread can tell, are missing since it could not be asked: %v", e.Unsent)
	}
	if e.Abandoned != 0 {
		p.noteLocked("stacks of faults are missing where the thread did not answer within %v: it blocks signal %d, was in a long system call, or ended", engine.Patience, p.eng.Signal())
	}
	if e.Unlocked != 0 {
		p.noteLocked("memory that the process has locked could not be locked again (%v) when it was put back: lock it once more, or raise RLIMIT_MEMLOCK", unix.Errno(e.Unlocked))
	}
	if e.Refiled != 0 {
		p.noteLocked("pieces of files were mapped anew by their path, since mremap was refused: contents are the same, the owner's advice (madvise) is lost there")
	}
	if e.Waited != 0 && now-e.Waited < waitsFor {
		s := &p.agg.stats
		s.LastError = fmt.Sprintf("a thread waits for a page of a file: mremap is refused (%s), and the file cannot be mapped anew by its path: allow mremap, or raise vm.max_map_count", s.LastError)
		p.noteFirstLocked("%s", s.LastError)
	}
}

// noteRefused asks which of the engine's system calls a seccomp filter refuses by now, and notes what that means. The
// caller holds foldMu.
func (p *Profiler) noteRefused() {
	for _, r := range calls.Refused(p.refused) {
		p.refused = append(p.refused, r)
		p.noteLocked("%v", r)
	}
}

// Frames expands a stack, inlined calls included, leaf first.
func (p *Profiler) Frames(id StackID) []runtime.Frame {
	p.foldMu.Lock()
	t := p.agg.stacks.freeze()
	p.foldMu.Unlock()
	return t.frames(id)
}

// RegionName returns the name of a region.
func (p *Profiler) RegionName(id RegionID) string {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	return p.agg.region(id).Name
}

// RegionGroup returns the group of a region, see RegionStats.Group.
func (p *Profiler) RegionGroup(id RegionID) string {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	return p.agg.region(id).Group
}

// RegionSize returns the extent of a region in bytes, see RegionStats.Size.
func (p *Profiler) RegionSize(id RegionID) int64 {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	return p.agg.region(id).Size
}

// RegionUnseen returns how late a mapping of a region was found at most, see RegionStats.Unseen.
func (p *Profiler) RegionUnseen(id RegionID) time.Duration {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	return p.agg.region(id).Unseen()
}

// Span returns what is known of a span that faults are attributed to, as Snapshot.Span does.
func (p *Profiler) Span(ref SpanRef) (SpanStats, bool) {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	s := p.agg.spans[ref]
	if s == nil {
		return SpanStats{}, false
	}
	c := *s
	c.Regions = slices.Clone(s.Regions)
	return c, true
}

// Stalled is the number of threads that wait for a first touch now: a lower bound, since of threads
// that touch the same granule one is counted. 0 after Close.
func (p *Profiler) Stalled() int {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	if p.obs != nil && p.binder != nil {
		return p.obs.stalled()
	}
	if p.eng == nil {
		return 0
	}
	return p.eng.Stalled()
}

// Granule returns how many bytes one fault of a region resolves.
func (p *Profiler) Granule(id RegionID) int {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	return p.agg.region(id).Granule
}
