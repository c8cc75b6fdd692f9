//go:build linux && (amd64 || arm64)

package profiler

// knownHeap is where Go's heap lies, goroutine stacks included.
type knownHeap struct {
	arenas heapArenas
	all    bool // there is no more of it
}

// findHeap finds the heap's arenas in a list of mappings.
func findHeap(list []procMap) (k knownHeap) {
	var stats HeapStats
	most, err := stats.read() // after the list: it is at least what that shows
	_, mapped := k.arenas.find(list, stats.Mapped(), most)
	k.all = err == nil && !k.arenas.other && mapped >= stats.Mapped()
	return k
}

// heapNow finds the heap as it is. An arena that the runtime has reserved at the call, of which no memory is accessible and
// which no size counts yet, is found too.
func (p *Profiler) heapNow() (k knownHeap, err error) {
	// An object of this size is allocated under the lock of the heap (pageCachePages/4, runtime/mheap.go), which the
	// runtime holds from the reservation until the memory is accessible and counted.
	addressInHeap(128 << 10)
	for range 3 { // it may grow between the looks at the mappings and at its size
		list, err := p.readMaps()
		if err != nil {
			return k, err
		}
		if k = findHeap(list); k.all {
			break
		}
	}
	return k, nil
}

// has reports whether some of [lo, hi) is in an arena: those addresses are the runtime's, used or not.
func (k *knownHeap) has(lo, hi uintptr) bool {
	for _, a := range k.arenas.order {
		if a*heapArena < hi && lo < (a+1)*heapArena {
			return true
		}
	}
	return false
}
