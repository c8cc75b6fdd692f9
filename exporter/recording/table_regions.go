package recording

import (
	"math"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

func visitRegion(c *columns, r *profiler.RegionStats) {
	number(c, 1, &r.ID)
	text(c, 2, &r.Name)
	number(c, 3, &r.Kind)
	number(c, 4, &r.Granule)
	number(c, 5, &r.Size)
	number(c, 6, &r.Mapped)
	number(c, 7, &r.Touched)
	number(c, 8, &r.Faults)
	number(c, 9, &r.Messages)
	number(c, 10, &r.CoTouch)
	number(c, 11, &r.Stall.Sum)
	number(c, 12, &r.Stall.Max)
	number(c, 13, &r.Disk.Sum)
	number(c, 14, &r.Disk.Max)
	flag(c, 15, &r.Detached)
	number(c, 16, &r.Rearms)
	number(c, 17, &r.Widened)
	text(c, 18, &r.Note)
	number(c, 19, &r.Left)
	number(c, 20, &r.Stopped)
	real(c, 31, &r.Estimate.Faults)
	real(c, 32, &r.Estimate.FaultsError)
	real(c, 33, &r.Estimate.Touched)
	real(c, 34, &r.Estimate.TouchedError)
	number(c, 35, &r.Estimate.Stall)
	number(c, 36, &r.Estimate.StallError)
	number(c, 37, &r.Discarded)
	number(c, 38, &r.Estimate.Paused)
	number(c, 39, &r.StallsUnknown)
	text(c, 40, &r.Group)
	number(c, 41, &r.Past)
	visitHeap(c, r)
}

// visitHeap passes what only the Go heap has.
func visitHeap(c *columns, r *profiler.RegionStats) {
	heap := r.Heap != nil
	flag(c, 21, &heap)
	var h profiler.HeapStats
	if r.Heap != nil {
		h = *r.Heap
	}
	share := math.Float64bits(h.Share)
	number(c, 22, &share)
	h.Share = math.Float64frombits(share)
	number(c, 23, &h.Blocks)
	number(c, 24, &h.Observed)
	for i, p := range []*int64{&h.Objects, &h.Unused, &h.Stacks, &h.Free, &h.Released, &h.Unseen} {
		number(c, 25+i, p)
	}
	if c.reading && heap && c.charge(sizeOf[profiler.HeapStats]()) {
		r.Heap = &h
	}
}

// sampling is a step in how much of a region was observed.
type sampling struct {
	region profiler.RegionID
	profiler.SamplingStep
}

func visitSampling(c *columns, s *sampling) {
	number(c, 1, &s.region)
	step(c, 2, &s.Since)
	number(c, 3, &s.Blocks)
	number(c, 4, &s.Sampled)
	number(c, 5, &s.BlockBytes)
}

// mapping is one observed address range of a region.
type mapping struct {
	region profiler.RegionID
	profiler.MappingStats
}

func visitMapping(c *columns, m *mapping) {
	number(c, 1, &m.region)
	step(c, 2, &m.Start)
	size := m.End - m.Start
	number(c, 3, &size)
	m.End = m.Start + size
	step(c, 4, &m.Offset)
	step(c, 5, &m.Since)
	number(c, 6, &m.Latency)
}

// bucket is a bucket of one of a region's histograms of stalls.
type bucket struct {
	region profiler.RegionID
	disk   bool // of those from the disk, not of all
	upper  time.Duration
	count  uint64
}

func visitBucket(c *columns, b *bucket) {
	number(c, 1, &b.region)
	flag(c, 2, &b.disk)
	step(c, 3, &b.upper)
	number(c, 4, &b.count)
}

// run is a run of touched granules of a region.
type run struct {
	region profiler.RegionID
	profiler.Granules
}

func visitRun(c *columns, r *run) {
	number(c, 1, &r.region)
	step(c, 2, &r.First)
	number(c, 3, &r.Count)
}
