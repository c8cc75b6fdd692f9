package agent

import "github.com/firsttouch/firsttouch/profiler"

func documentHeap(s *profiler.Snapshot, r *profiler.RegionStats) *DocumentHeap {
	h := r.Heap
	d := &DocumentHeap{
		Share: h.Share, Blocks: h.Blocks, Observed: h.Observed,
		ObjectsBytes: h.Objects, UnusedBytes: h.Unused, StacksBytes: h.Stacks, FreeBytes: h.Free,
		ReleasedBytes: h.Released, UnseenBytes: h.Unseen, Actors: []DocumentActor{},
	}
	d.TouchedBytes = int64(r.Estimate.Touched)
	if h.ErrorKnown() {
		e := int64(r.Estimate.TouchedError)
		d.TouchedStderrBytes = &e
	}
	for _, a := range s.Actors(r.ID) {
		d.Actors = append(d.Actors, DocumentActor{a.Actor.String(), a.Faults, a.Bytes, int64(a.Stall)})
	}
	return d
}

// heapActor is empty for regions of which it is clear.
func heapActor(s *profiler.Snapshot, id profiler.RegionID, a profiler.Actor) string {
	if s.RegionOf(id).Kind != profiler.KindGoHeap {
		return ""
	}
	return a.String()
}
