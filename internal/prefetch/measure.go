package prefetch

import (
	"cmp"
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/internal/touchorder"
	"github.com/firsttouch/firsttouch/profiler"
)

// Outcome is what reading an order ahead did for a start, by the first touches that the log of its snapshot has. Sizes are in bytes.
type Outcome struct {
	Touches uint64 `json:"touches"` // first touches of the order's files
	Found   uint64 `json:"found"`   // of a range, and its page was there
	Waited  uint64 `json:"waited"`  // of a range, and its page came from the disk all the same
	Beside  uint64 `json:"beside"`  // of no range, and its page came from the disk
	// Touched is how much of the ranges was touched, and InVain how much was not.
	Touched int64 `json:"touched_bytes"`
	InVain  int64 `json:"in_vain_bytes"`
	// Expected is for how long threads waited because of all ranges where nothing was read ahead; Saved is that of the touches that found
	// their page, less what they waited now; Left is for how long threads waited for the disk now.
	Expected time.Duration `json:"expected_ns"`
	Saved    time.Duration `json:"saved_ns"`
	Left     time.Duration `json:"left_ns"`
}

// Measure compares an order with a start after it was read. Of regions that are armed again and again, the first touch of each granule counts.
func Measure(o *touchorder.Order, s *profiler.Snapshot) Outcome {
	out := Outcome{Expected: o.Saves()}
	files := make(map[string]*lookup, len(o.Files))
	for i := range o.Files {
		files[o.Files[i].Path] = newLookup(&o.Files[i])
	}
	of := make(map[profiler.RegionID]*lookup)
	touched := make(map[*lookup][]touchorder.Range)
	granules := make(map[profiler.RegionID]int64)
	for i := range s.Regions {
		r := &s.Regions[i]
		if l := files[r.Name]; l != nil && unfit(r) == "" {
			of[r.ID], granules[r.ID] = l, int64(r.Granule)
			for run := range r.Runs {
				touched[l] = append(touched[l], touchorder.Range{Offset: int64(run.First) * int64(r.Granule), Length: int64(run.Count) * int64(r.Granule)})
			}
		}
	}
	for l, list := range touched {
		out.Touched += l.overlap(apart(list))
	}
	out.InVain = o.Bytes() - out.Touched
	seen := make(map[profiler.RegionID]map[int64]bool)
	for i := range s.Faults {
		f := &s.Faults[i]
		l := of[f.Region]
		if l == nil {
			continue
		}
		g := f.Offset / granules[f.Region]
		if seen[f.Region] == nil {
			seen[f.Region] = make(map[int64]bool)
		}
		if seen[f.Region][g] {
			continue
		}
		seen[f.Region][g] = true
		out.Touches++
		r := l.find(f.Offset)
		disk := f.Source == profiler.SourceDisk
		if disk {
			out.Left += f.Stall
		}
		switch {
		case r != nil && disk:
			out.Waited++
		case r != nil:
			out.Found++
			share := time.Duration(float64(r.Saves) * min(float64(granules[f.Region])/float64(r.Length), 1))
			out.Saved += max(share-f.Stall, 0)
		case disk:
			out.Beside++
		}
	}
	return out
}

// lookup finds ranges by offset.
type lookup struct{ ranges []touchorder.Range }

func newLookup(f *touchorder.File) *lookup {
	l := &lookup{slices.Clone(f.Ranges)}
	slices.SortFunc(l.ranges, func(a, b touchorder.Range) int { return cmp.Compare(a.Offset, b.Offset) })
	return l
}

// find returns the range that holds an offset, or nil.
func (l *lookup) find(offset int64) *touchorder.Range {
	i, found := slices.BinarySearchFunc(l.ranges, offset, func(r touchorder.Range, offset int64) int { return cmp.Compare(r.Offset, offset) })
	if !found {
		i--
	}
	if i >= 0 && offset < l.ranges[i].End() {
		return &l.ranges[i]
	}
	return nil
}

// overlap is how much of the ranges lies in others.
func (l *lookup) overlap(others []touchorder.Range) (n int64) {
	slices.SortFunc(others, func(a, b touchorder.Range) int { return cmp.Compare(a.Offset, b.Offset) })
	a := l.ranges
	for len(a) > 0 && len(others) > 0 {
		n += max(min(a[0].End(), others[0].End())-max(a[0].Offset, others[0].Offset), 0)
		if a[0].End() < others[0].End() {
			a = a[1:]
		} else {
			others = others[1:]
		}
	}
	return n
}
