package heatmap

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/profiler"
)

// Value is what a cell adds up.
type Value string

// The values.
const (
	Faults Value = "faults"
	Stall  Value = "stall" // in nanoseconds
)

// Grid is a region's faults by time, left to right, and place, the lowest offset at the bottom.
type Grid struct {
	Region     string
	Value      Value
	From, To   time.Duration // since the start of the profile
	Low, High  int64         // offsets in the region
	Columns    int
	Rows       int
	Cells      [][]int64 // by row from the bottom, then column
	Max, Total int64
	Faults     uint64        // that are in the picture
	Missing    uint64        // of the region, known in the totals only
	Quiet      time.Duration // from the last fault to the end of the profile, which is not in the picture
}

// Options of New. The zero value is all of the region and of the time.
type Options struct {
	Region        string // name, or the last element of its path, or empty for the one with the most faults
	Value         Value
	Columns, Rows int
}

// namesListed is how many names of regions an error lists.
const namesListed = 20

// RegionOf finds a region by its name, or the last element of its path; without a name the one with the most
// faults.
func RegionOf(s *profiler.Snapshot, name string) (*profiler.RegionStats, error) {
	if len(s.Regions) == 0 {
		return nil, fmt.Errorf("there are no regions: nothing was profiled")
	}
	best := &s.Regions[0]
	var names []string
	for i := range s.Regions {
		r := &s.Regions[i]
		if name != "" && (r.Name == name || filepath.Base(r.Name) == name) {
			return r, nil
		}
		if r.Faults > best.Faults {
			best = r
		}
		if len(names) < namesListed {
			names = append(names, r.Name)
		}
	}
	if name != "" {
		if more := len(s.Regions) - len(names); more > 0 {
			names = append(names, fmt.Sprintf("%d more", more))
		}
		return nil, fmt.Errorf("there is no region %q: choose one of %s", name, plain.Line(strings.Join(names, ", ")))
	}
	return best, nil
}

// New counts the faults of a region.
func New(s *profiler.Snapshot, o Options) (*Grid, error) {
	r, err := RegionOf(s, o.Region)
	if err != nil {
		return nil, err
	}
	g := &Grid{Region: r.Name, Value: o.Value, High: r.Size, Columns: o.Columns, Rows: o.Rows}
	var faults []*profiler.Fault
	for i := range s.Faults {
		if f := &s.Faults[i]; f.Region == r.ID {
			faults = append(faults, f)
			g.High = max(g.High, f.Offset+1)
		}
	}
	g.Faults = uint64(len(faults))
	g.Missing = r.Faults - min(r.Faults, g.Faults)
	g.Cells = make([][]int64, g.Rows)
	for i := range g.Cells {
		g.Cells[i] = make([]int64, g.Columns)
	}
	if len(faults) == 0 {
		g.To = s.EndMono - s.StartMono
		return g, nil
	}
	first, last := faults[0].Time, faults[0].Time
	for _, f := range faults {
		first, last = min(first, f.Time), max(last, f.Time)
	}
	g.From, g.To = first-s.StartMono, last-s.StartMono+1
	g.Quiet = max(s.EndMono-last-1, 0)
	for _, f := range faults {
		column := share(int64(f.Time-first), int64(last-first)+1, g.Columns)
		cell := &g.Cells[share(f.Offset, g.High, g.Rows)][column]
		n := int64(1)
		if g.Value == Stall {
			n = int64(f.Stall)
		}
		*cell += n
		g.Total += n
		g.Max = max(g.Max, *cell)
	}
	return g, nil
}

// share is the part, of n equal ones, in which at lies; in floating point, since a product of both
// may exceed 64 bits.
func share(at, all int64, n int) int {
	return min(max(int(float64(at)/float64(all)*float64(n)), 0), n-1)
}
