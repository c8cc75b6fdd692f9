// Package prefetch makes orders of first touches (package touchorder) of what the profiler saw, and tells what reading ahead saved.
package prefetch

import (
	"cmp"
	"path/filepath"
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/internal/touchorder"
	"github.com/firsttouch/firsttouch/profiler"
)

// Made is an order, with what could not be in it.
type Made struct {
	*touchorder.Order
	// LeftOut are regions that have touched memory which no order can hold, with the reason. Memory of no file is made anew at each start.
	LeftOut map[string]string
	// Unordered is how many bytes were touched of which neither time nor stall is known, since the log of first touches is bounded. What is
	// more than an order may have is in it, too.
	Unordered int64
}

// OrderOf makes an order of the files that a snapshot has touched. from says in words what it is made of.
func OrderOf(s *profiler.Snapshot, from string) Made {
	m := Made{Order: &touchorder.Order{Made: s.End.UTC().Truncate(time.Second), From: from, Starts: 1}, LeftOut: make(map[string]string)}
	first := firstTouches(s)
	byPath := make(map[string][]touchorder.Range)
	total := 0
	for i := range s.Regions {
		r := &s.Regions[i]
		if why := unfit(r); why != "" {
			if r.Touched > 0 {
				m.LeftOut[r.Name] = why
			}
			continue
		}
		ranges, unordered := rangesOf(r, first[r.ID], s.EndMono-s.StartMono, touchorder.RangesMost-total)
		m.Unordered += unordered
		total += len(ranges)
		if len(ranges) > 0 {
			byPath[r.Name] = append(byPath[r.Name], ranges...)
		}
	}
	for path, ranges := range byPath {
		m.Files = append(m.Files, touchorder.File{Path: path, Ranges: apart(ranges)})
	}
	slices.SortFunc(m.Files, func(a, b touchorder.File) int {
		return cmp.Or(cmp.Compare(a.Ranges[0].At, b.Ranges[0].At), cmp.Compare(a.Path, b.Path))
	})
	return m
}

// unfit says why a region's memory cannot be read ahead, or nothing.
func unfit(r *profiler.RegionStats) string {
	switch {
	case r.Past > 0:
		return "the files of this group were closed and added up, so that it is not known which parts of which were touched"
	case r.Kind != profiler.KindMappedFile && r.Kind != profiler.KindAttached:
		return "this is memory of no file: what the program puts there at each start is on no disk to be read from"
	case !filepath.IsAbs(r.Name) || filepath.Clean(r.Name) != r.Name:
		return "its name is not the path of its file"
	}
	return ""
}

// touch is the first touch of a granule.
type touch struct {
	granule int64
	seq     uint64
	at      time.Duration
	saves   time.Duration
}

// firstTouches are those that the log has, by region, ascending by granule. A region that is armed again has more than one of a granule.
func firstTouches(s *profiler.Snapshot) map[profiler.RegionID][]touch {
	granule := make(map[profiler.RegionID]int64, len(s.Regions))
	for i := range s.Regions {
		if r := &s.Regions[i]; unfit(r) == "" {
			granule[r.ID] = int64(r.Granule)
		}
	}
	of := make(map[profiler.RegionID][]touch)
	for i := range s.Faults {
		f := &s.Faults[i]
		if granule[f.Region] == 0 || f.Offset < 0 {
			continue
		}
		t := touch{granule: f.Offset / granule[f.Region], at: max(f.Time-s.StartMono, 0), seq: f.Seq}
		if f.Source == profiler.SourceDisk {
			t.saves = f.Stall
		}
		of[f.Region] = append(of[f.Region], t)
	}
	for id, list := range of {
		slices.SortFunc(list, func(a, b touch) int { return cmp.Or(cmp.Compare(a.granule, b.granule), cmp.Compare(a.seq, b.seq)) })
		of[id] = slices.CompactFunc(list, func(a, b touch) bool { return a.granule == b.granule })
	}
	return of
}

// rangesOf cuts what was touched of a region into ranges, most of them at most: neighbours are one, up to a length. late is when what the
// log does not have is said to be touched.
func rangesOf(r *profiler.RegionStats, first []touch, late time.Duration, most int) (out []touchorder.Range, unordered int64) {
	granule := int64(r.Granule)
	step := max(touchorder.RangeMost/granule, 1)
	for run := range r.Runs {
		g, end := int64(run.First), int64(run.First)+int64(run.Count)
		for ; g < end && len(out) < most; g += step {
			to := min(g+step, end)
			next := touchorder.Range{Offset: g * granule, Length: (to - g) * granule, At: late}
			if r.Size > next.Offset {
				next.Length = min(next.Length, r.Size-next.Offset)
			}
			for len(first) > 0 && first[0].granule < g {
				first = first[1:]
			}
			known := int64(0)
			for len(first) > 0 && first[0].granule < to {
				next.At, next.Saves = min(next.At, first[0].at), next.Saves+first[0].saves
				known += granule
				first = first[1:]
			}
			unordered += max(next.Length-known, 0)
			out = append(out, next)
		}
		if g < end {
			unordered += (end - g) * granule
			break
		}
	}
	return out, unordered
}

// apart orders ranges by their first touch, and cuts those of one file that was two regions where they overlap.
func apart(list []touchorder.Range) (out []touchorder.Range) {
	slices.SortFunc(list, func(a, b touchorder.Range) int { return cmp.Compare(a.Offset, b.Offset) })
	end := int64(0)
	for _, r := range list {
		if cut := end - r.Offset; cut > 0 {
			r.Offset, r.Length = end, r.Length-cut
		}
		if r.Length > 0 {
			out = append(out, r)
			end = r.End()
		}
	}
	slices.SortStableFunc(out, func(a, b touchorder.Range) int { return cmp.Compare(a.At, b.At) })
	return out
}
