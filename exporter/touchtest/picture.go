package touchtest

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/firsttouch/firsttouch/exporter"
)

// callersMost is how many callers a failure shows.
const callersMost = 8

// picture is what a failure shows: who touched, and where. bad is what was not allowed.
func (r *Result) picture(bad []Range) string {
	var text strings.Builder
	text.WriteString("first touches by the code that made them\n")
	list := r.callers(bad)
	for i, c := range list {
		if i == callersMost {
			fmt.Fprintf(&text, "  and %d more\n", len(list)-i)
			break
		}
		fmt.Fprintf(&text, "  %6d  %s\n", c.faults, c.name)
	}
	if len(list) == 0 {
		text.WriteString("  none has a stack\n")
	}
	step := r.pagesOf()
	signs := "# all touched, + some, . none"
	if bad != nil {
		signs += ", ! not allowed"
	}
	fmt.Fprintf(&text, "where in %d bytes (a character is %d bytes; %s)\n  [%s]", r.size, step*r.page, signs, r.line(step, bad))
	return text.String()
}

// line is the map.
func (r *Result) line(step int64, bad []Range) string {
	pages := (r.size + r.page - 1) / r.page
	signs := make([]byte, (pages+step-1)/step)
	for i := range signs {
		lo := int64(i) * step * r.page
		hi := min(lo+step*r.page, pages*r.page)
		switch n := within(r.Ranges, lo, hi); {
		case within(bad, lo, hi) > 0:
			signs[i] = '!'
		case n == 0:
			signs[i] = '.'
		case n == hi-lo:
			signs[i] = '#'
		default:
			signs[i] = '+'
		}
	}
	return string(signs)
}

// within is how many bytes of the ranges lie between two offsets.
func within(ranges []Range, lo, hi int64) (n int64) {
	for _, r := range ranges {
		n += max(min(r.end(), hi)-max(r.Offset, lo), 0)
	}
	return n
}

// caller is code that touched memory.
type caller struct {
	name   string
	faults uint64
}

// callers adds up the first touches, most first: those of bad alone, where there are some.
func (r *Result) callers(bad []Range) []caller {
	total := make(map[string]uint64)
	names := make(map[uint32]string)
	for i := range r.Snapshot.Faults {
		f := &r.Snapshot.Faults[i]
		if f.Region != r.region || bad != nil && within(bad, f.Offset, f.Offset+1) == 0 {
			continue
		}
		name, ok := names[uint32(f.Stack)]
		if !ok {
			name = r.nameOf(i)
			names[uint32(f.Stack)] = name
		}
		total[name]++
	}
	var list []caller
	for name, n := range total {
		list = append(list, caller{name, n})
	}
	slices.SortFunc(list, func(a, b caller) int {
		return cmp.Or(cmp.Compare(b.faults, a.faults), cmp.Compare(a.name, b.name))
	})
	return list
}

// nameOf is the code that made a fault, and who called it.
func (r *Result) nameOf(i int) string {
	frames := r.Snapshot.Frames(r.Snapshot.Faults[i].Stack)
	at := exporter.Caller(frames)
	if at < 0 {
		return "(no stack was taken)"
	}
	name := fmt.Sprintf("%s (%s:%d)", frames[at].Function, filepath.Base(frames[at].File), frames[at].Line)
	for _, f := range frames[at+1:] {
		if !exporter.ServesCaller(f) {
			return name + ", called from " + f.Function
		}
	}
	return name
}
