package profiler

import (
	"math"
	"runtime/metrics"
)

// heapBlock is the unit in which the Go heap is sampled: what a page table of 4 KiB pages maps, so that
// taking it away is one step for the kernel, and huge pages outside are left whole.
const heapBlock = 2 << 20

// chosen tells by a hash of its number whether a block is observed. Every block has the same chance, and the
// decision never changes, so that what is found scales up without bias.
func chosen(block uintptr, share float64) bool {
	h := uint64(block) * 0x9e3779b97f4a7c15
	h = (h ^ h>>32) * 0xd6e8feb86659fd93
	h ^= h >> 32
	return float64(h>>11)/(1<<53) < share
}

// HeapStats is what there is to know of the Go heap beyond what other regions show. Sizes are in bytes.
type HeapStats struct {
	// Share is that of the heap's blocks of 2 MiB which are observed, chosen by a hash of their address.
	Share float64
	// Blocks are mapped, and Observed of them were chosen and are armed.
	Blocks, Observed int
	// The heap as the runtime sees it at the time of the snapshot (runtime/metrics,
	// /memory/classes/heap/...): Objects holds live and dead objects, Unused is reserved for objects of a
	// size, Stacks holds goroutine stacks, Free is unused and Released also given back to the system.
	Objects, Unused, Stacks, Free, Released int64
	// Unseen is what the runtime had of its heap that was not found among the mappings at the last look: it
	// grew meanwhile, or lies where it was not looked for.
	Unseen int64
}

// Mapped is the whole heap as the runtime sees it.
func (h *HeapStats) Mapped() int64 {
	return h.Objects + h.Unused + h.Stacks + h.Free + h.Released
}

var heapMetrics = []string{
	"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/stacks:bytes",
	"/memory/classes/heap/free:bytes", "/memory/classes/heap/released:bytes",
	"/memory/classes/metadata/other:bytes",
}

// read takes over what the runtime says. It returns the most that the heap's mappings can have: buffers
// of the garbage collector lie there too, and are counted among its metadata.
func (h *HeapStats) read() (most int64) {
	samples := make([]metrics.Sample, len(heapMetrics))
	for i, name := range heapMetrics {
		samples[i].Name = name
	}
	metrics.Read(samples)
	var other int64
	for i, p := range []*int64{&h.Objects, &h.Unused, &h.Stacks, &h.Free, &h.Released, &other} {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			*p = int64(samples[i].Value.Uint64())
		}
	}
	return h.Mapped() + other
}

// HeapTouched estimates how much of the Go heap was touched from the blocks that are observed, with its
// standard error: that of choosing the blocks, 0 when all are observed, and infinite when fewer than two
// are. ok is false for other regions.
func (r *RegionStats) HeapTouched() (bytes, stderr float64, ok bool) {
	if r.Heap == nil {
		return 0, 0, false
	}
	perBlock := make(map[int64]float64)
	for off := range r.TouchedGranules {
		perBlock[off/heapBlock] += float64(r.GranuleBytes(off))
	}
	var in []float64
	for _, v := range perBlock {
		in = append(in, v)
	}
	bytes, stderr = estimate(in, r.Heap.Observed, r.Heap.Blocks)
	return bytes, stderr, true
}

// estimate scales what was found in the observed of all blocks, of which those not listed are 0: the total
// and its standard error, for a sample without replacement.
func estimate(found []float64, observed, all int) (total, stderr float64) {
	n, sum, squares := float64(observed), 0.0, 0.0
	for _, v := range found {
		sum += v
	}
	if observed == 0 {
		return 0, math.Inf(1)
	}
	mean := sum / n
	for _, v := range found {
		squares += (v - mean) * (v - mean)
	}
	squares += (n - float64(len(found))) * mean * mean
	total = mean * float64(all)
	switch {
	case observed >= all:
		return total, 0
	case observed < 2:
		return total, math.Inf(1)
	}
	return total, float64(all) * math.Sqrt(squares/(n-1)/n*(1-n/float64(all)))
}
