package agent

import "github.com/firsttouch/firsttouch/profiler"

func documentRegion(s *profiler.Snapshot, r *profiler.RegionStats, addresses bool) DocumentRegion {
	d := DocumentRegion{
		ID: uint32(r.ID), Name: r.Name, Kind: kindName(r.Kind), GranuleBytes: r.Granule,
		SizeBytes: r.Size, MappedBytes: r.Mapped, TouchedBytes: r.Touched, Slices: touchedSlices(r),
		Faults: r.Faults, Messages: r.Messages, CoTouches: r.CoTouch,
		Stall: documentStall(r.Stall), Disk: documentStall(r.Disk),
		Rearms: r.Rearms, Widened: r.Widened, Left: r.Left, Discarded: r.Discarded, Detached: r.Detached, Note: r.Note,
		Mappings:      make([]DocumentMapping, 0, len(r.Mappings)),
		ObservedShare: r.Share(), Sampling: s.SamplingNote(r.ID), Estimate: DocumentEstimate{
			Faults: r.Estimate.Faults, FaultsError: r.Estimate.FaultsError, TouchedBytes: r.Estimate.Touched, TouchedError: r.Estimate.TouchedError,
			StallNS: int64(r.Estimate.Stall), StallErrorNS: int64(r.Estimate.StallError), PausedNS: int64(r.Estimate.Paused),
		},
	}
	if r.Heap != nil {
		d.Heap = documentHeap(s, r)
	}
	for _, m := range r.Mappings {
		dm := DocumentMapping{
			OffsetBytes: m.Offset, LengthBytes: int64(m.End - m.Start),
			SinceNS: int64(m.Since - s.StartMono), LatencyNS: int64(m.Latency),
		}
		if addresses {
			dm.Address = address(m.Start)
		}
		d.Mappings, d.UnseenNS = append(d.Mappings, dm), max(d.UnseenNS, dm.LatencyNS)
	}
	return d
}

// kindName is the lower-case word for a kind of memory.
func kindName(k profiler.Kind) string {
	switch k {
	case profiler.KindArena:
		return "arena"
	case profiler.KindMappedFile:
		return "mapped_file"
	case profiler.KindAttached:
		return "attached_file"
	case profiler.KindMemory:
		return "memory"
	case profiler.KindGoHeap:
		return "go_heap"
	}
	return "unknown"
}

// touchedSlices spreads the touched granules over equal slices of the region; a granule that
// lies on a border counts in each slice for the part of it that lies there.
func touchedSlices(r *profiler.RegionStats) []int64 {
	slices := make([]int64, documentSlices)
	if r.Size <= 0 {
		return slices
	}
	// Rounded up, so that the last slice ends at or behind the end of the region.
	width := (r.Size + documentSlices - 1) / documentSlices
	for g := range r.Runs {
		off := int64(g.First) * int64(r.Granule)
		end := min(int64(g.First+g.Count)*int64(r.Granule), r.Size)
		for off < end {
			i := off / width
			stop := min(end, (i+1)*width)
			slices[i] += stop - off
			off = stop
		}
	}
	return slices
}

func documentStall(h profiler.Histogram) DocumentStall {
	return DocumentStall{
		Count: h.Count, SumNS: int64(h.Sum), MaxNS: int64(h.Max),
		P50NS: int64(h.Quantile(0.5)), P99NS: int64(h.Quantile(0.99)),
	}
}
