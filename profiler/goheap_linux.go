//go:build linux && (amd64 || arm64)

package profiler

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"golang.org/x/sys/unix"
)

// goHeapName is the region's default name.
const goHeapName = "go heap"

// AttachGoHeap observes the heap of the Go runtime, in which goroutine stacks and some of the runtime's
// own structures live too: what of it was touched since it was armed, by the program or by the garbage
// collector (Group.Actor, told by the stack, which is taken for every fault of this region whatever
// WithStacks says). New parts of the heap are looked for every so often (WithRescan).
//
// Of the heap's blocks of 2 MiB a share is observed (WithHeapShare; 1/16 unless it is set), since a fault
// costs some microseconds and the garbage collector touches all live memory in each cycle:
// RegionStats.Estimate scales up and states the error.
//
// Offsets are those in the arenas of 64 MiB that the runtime reserves, in the order in which they were found.
// It needs Linux 6.8 and is refused where faults in system calls cannot be served. While it is attached a
// child that is forked without exec has no such blocks, and ends with SIGSEGV: programs that start others
// in a user namespace of their own (SysProcAttr) do that. Huge pages in the blocks are split.
func (p *Profiler) AttachGoHeap(opts ...RegionOption) (*Region, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired.Load() {
		return nil, fmt.Errorf("go heap: profiler: %w", ErrClosed)
	}
	if err := p.heapPossible(); err != nil {
		return nil, fmt.Errorf("go heap: %w", err)
	}
	if writes, err := writesOnly(opts); writes || err != nil {
		return nil, cmp.Or(err, fmt.Errorf("go heap: %w: writes alone are not offered: the garbage collector's reads are what it is about", ErrNotSupported))
	}
	r, err := p.newRegion(goHeapName, KindGoHeap, 0, opts)
	if err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	p.noteCollector()
	r.heap = &goHeap{covered: make(map[uintptr]bool)}
	if r.config.share == 0 {
		r.config.share = 1.0 / 16
	}
	if err := r.lookHeapNow(); err != nil {
		if undo := r.detach(); undo != nil {
			return nil, errors.Join(err, undo)
		}
		return nil, fmt.Errorf("go heap: %w", r.p.wrap(err))
	}
	return r, nil
}

// heapPossible says why the heap cannot be observed. The caller holds p.mu.
func (p *Profiler) heapPossible() error {
	if p.observes() {
		return p.onlyObserves("the Go heap, whose pages the kernel counts as they become the process's, and not as they are touched")
	}
	if p.eng.UserModeOnly() {
		return fmt.Errorf("%w: the profiler may serve user mode only, so system calls and signals that meet armed memory would fail", ErrNotSupported)
	}
	if p.config.delivery == DeliverySignal {
		return fmt.Errorf("%w: with DeliverySignal a signal that meets armed memory, and system calls, would fail: use DeliveryThread", ErrNotSupported)
	}
	if err := p.eng.HaveRearm(); err != nil {
		return err
	}
	if arenasExperiment {
		return fmt.Errorf("%w: GOEXPERIMENT=arenas changes the heap's mappings", ErrNotSupported)
	}
	if strings.Contains(os.Getenv("GODEBUG"), "harddecommit=") {
		return fmt.Errorf("%w: GODEBUG=harddecommit changes the heap's mappings: leave it out", ErrNotSupported)
	}
	for _, o := range p.openRegions() {
		if o.kind == KindGoHeap && !o.closed.Load() {
			return fmt.Errorf("%w as region %q", ErrRegistered, o.name)
		}
	}
	return nil
}

// goHeap is what a region of the Go heap knows. It is guarded by the region's mu.
type goHeap struct {
	arenas  heapArenas
	covered map[uintptr]bool // blocks that are armed, by address / heapBlock
	blocks  int              // mapped
	mapped  int64
	unseen  int64         // of what the runtime has, not found
	looked  time.Duration // last
}

// lookHeapNow looks at the heap as it is. The caller holds r.mu.
func (r *Region) lookHeapNow() error { return r.lookHeapAs(r.p.readMaps) }

// lookHeapAs is lookHeapNow with the mappings that read lists. The heap may grow between the looks at the mappings and
// at its size, since to look allocates: a young heap may then be in an arena of which the list has nothing.
func (r *Region) lookHeapAs(read func() ([]procMap, error)) error {
	for range 3 {
		now := engine.Now()
		list, err := read()
		if err != nil {
			return err
		}
		if err := r.lookHeap(list, now); err != nil || r.heap.unseen == 0 {
			return err
		}
	}
	return nil
}

// lookHeap arms the chosen blocks that are new. list was read after now. The caller holds r.mu.
func (r *Region) lookHeap(list []procMap, now time.Duration) error {
	var stats HeapStats
	most, err := stats.read() // after the list: it is at least what that shows
	if err != nil {
		return err
	}
	h := r.heap
	latency := time.Duration(0)
	if h.looked != 0 {
		latency = now - h.looked
	}
	pieces, mapped := h.arenas.find(list, stats.Mapped(), most)
	if h.arenas.other {
		return fmt.Errorf("%w: %s does not reserve its heap in arenas of %d MiB", ErrNotSupported, runtime.Version(), heapArena>>20)
	}
	blocks := 0
	type run struct{ lo, hi uintptr }
	var runs []run
	for _, m := range pieces {
		lo, hi := (m.lo+heapBlock-1)&^(heapBlock-1), m.hi&^(heapBlock-1)
		for b := lo; b < hi; b += heapBlock {
			blocks++
			if h.covered[b/heapBlock] || !chosen(b/heapBlock, r.config.share) {
				continue
			}
			if n := len(runs); n > 0 && runs[n-1].hi == b && b%heapArena != 0 {
				runs[n-1].hi = b + heapBlock
			} else {
				runs = append(runs, run{b, b + heapBlock})
			}
		}
	}
	unseen := max(stats.Mapped()-mapped, 0)
	same := h.looked != 0 && len(runs) == 0 && blocks == h.blocks && mapped == h.mapped && unseen == h.unseen
	h.blocks, h.mapped, h.unseen, h.looked = blocks, mapped, unseen, now
	if same {
		return nil
	}
	if coming := stats; len(runs) > 0 { // a fault has the weight of the step that it comes in
		coming.Blocks, coming.Observed = blocks, len(h.covered)
		for _, n := range runs {
			coming.Observed += int(n.hi-n.lo) / heapBlock
		}
		r.update(func(s *RegionStats) { s.heapStep(&coming, now) })
	}
	for _, n := range runs {
		if err = r.armHeap(n.lo, n.hi, latency); err != nil {
			break
		}
	}
	r.publishHeap(stats, now)
	return err
}

// armHeap arms new blocks with their contents. The caller holds r.mu.
func (r *Region) armHeap(lo, hi uintptr, latency time.Duration) error {
	if err := r.p.locked(lo, hi); err != nil {
		return err
	}
	g, err := r.p.eng.AddHeap(r.eng, lo, hi, uintptr(r.config.granule), r.heap.arenas.offset(lo), r.p.know)
	if err != nil {
		return err
	}
	r.maps = append(r.maps, &mapping{Target: g, means: byMove, prot: unix.PROT_READ | unix.PROT_WRITE, latency: latency})
	for b := lo / heapBlock; b < hi/heapBlock; b++ {
		r.heap.covered[b] = true
	}
	took, err := r.p.eng.RearmMemory(g, r.guard())
	r.longest = max(r.longest, took)
	return err
}

// publishHeap tells how the heap is observed since a moment. The caller holds r.mu.
func (r *Region) publishHeap(stats HeapStats, since time.Duration) {
	h := r.heap
	stats.Share, stats.Blocks, stats.Observed = r.config.share, h.blocks, len(h.covered)
	stats.Unseen = h.unseen
	r.publish(int64(len(h.arenas.order))*heapArena, func(s *RegionStats) {
		s.Heap, s.Stopped = &stats, r.longest
		s.heapStep(&stats, since)
	})
}

// rearmHeap arms the heap again, its new blocks included. The caller holds r.mu.
func (r *Region) rearmHeap() error {
	err := r.lookHeapNow()
	return errors.Join(err, r.rearmMemory(allBlocks))
}
