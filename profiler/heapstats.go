package profiler

import (
	"errors"
	"fmt"
	"runtime"
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

// HeapStats is what there is to know of the Go heap beyond what other regions show. Sizes are in bytes. What the
// whole heap would have shown is in RegionStats.Estimate, from the blocks that are observed.
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

// ErrorKnown reports whether the error of estimates can be stated: one block says nothing of how much they differ.
func (h *HeapStats) ErrorKnown() bool { return h.Observed > 1 || h.Observed == h.Blocks }

var heapMetrics = []string{
	"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/stacks:bytes",
	"/memory/classes/heap/free:bytes", "/memory/classes/heap/released:bytes",
	"/memory/classes/metadata/other:bytes",
}

// read takes over what the runtime says. It returns the most that the heap's mappings can have: buffers
// of the garbage collector lie there too, and are counted among its metadata. An error names what a version of Go does not
// tell any more: then the size of the heap is not known.
func (h *HeapStats) read() (most int64, err error) {
	samples := make([]metrics.Sample, len(heapMetrics))
	for i, name := range heapMetrics {
		samples[i].Name = name
	}
	metrics.Read(samples)
	var other int64
	for i, p := range []*int64{&h.Objects, &h.Unused, &h.Stacks, &h.Free, &h.Released, &other} {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			err = errors.Join(err, fmt.Errorf("%w: %s has no %s in runtime/metrics", ErrNotSupported, runtime.Version(), samples[i].Name))
			continue
		}
		*p = int64(samples[i].Value.Uint64())
	}
	return h.Mapped() + other, err
}
