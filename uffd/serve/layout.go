package serve

import (
	"fmt"
	"slices"

	"github.com/firsttouch/firsttouch/uffd"
)

// Area is a range of the served process's memory and what it holds before it is touched.
type Area struct {
	uffd.Range
	// Contents of the range, from its start; nil for zeros. The memory is handed to the kernel, which
	// copies from it: it may be a mapping of a file, and must stay as it is while it is served. What it
	// is shorter than the range is of zeros. Where the kernel cannot read it, as where the disk has an
	// error, Run ends with uffd.ErrFault; uffd.FD.Poison makes that page SIGBUS to who touches it.
	Contents []byte
	// PageSize in bytes; 0 is uffd.PageSize(). Huge pages have their own.
	PageSize int
}

func (a Area) pageSize() uintptr {
	if a.PageSize == 0 {
		return uintptr(uffd.PageSize())
	}
	return uintptr(a.PageSize)
}

// part is the piece of a that lies in r.
func (a Area) part(r uffd.Range) Area {
	p := a
	p.Range = uffd.Range{Start: max(a.Start, r.Start), End: min(a.End, r.End)}
	p.Contents = nil
	if from := p.Start - a.Start; from < uffd.Addr(len(a.Contents)) {
		p.Contents = a.Contents[from:min(p.End-a.Start, uffd.Addr(len(a.Contents)))]
	}
	return p
}

// Layout says what is where in a process's memory. Its zero value is empty. It is not safe for
// concurrent use; a Server guards its own.
type Layout struct{ areas []Area } // in the order of their addresses, apart from each other

// NewLayout is the layout of areas that do not overlap, whose ends are aligned to their pages: else it is
// uffd.ErrInvalid. The areas are where they were when nothing was discarded, moved or unmapped yet.
func NewLayout(areas ...Area) (*Layout, error) {
	l := &Layout{areas: slices.Clone(areas)}
	slices.SortFunc(l.areas, func(a, b Area) int { return compare(a.Start, b.Start) })
	for i, a := range l.areas {
		switch {
		case a.Len() == 0 || !a.IsAligned(a.pageSize()):
			return nil, fmt.Errorf("%w: area %v is empty, or not aligned to its pages of %d bytes", uffd.ErrInvalid, a.Range, a.pageSize())
		case uintptr(len(a.Contents)) > a.Len():
			return nil, fmt.Errorf("%w: area %v has %d bytes and contents of %d", uffd.ErrInvalid, a.Range, a.Len(), len(a.Contents))
		case i > 0 && l.areas[i-1].End > a.Start:
			return nil, fmt.Errorf("%w: areas %v and %v overlap", uffd.ErrInvalid, l.areas[i-1].Range, a.Range)
		}
	}
	return l, nil
}

func compare(a, b uffd.Addr) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Areas are the areas, in the order of their addresses. Their contents are not copied.
func (l *Layout) Areas() []Area { return slices.Clone(l.areas) }

// first is the number of the first area that ends behind a.
func (l *Layout) first(a uffd.Addr) int {
	i, _ := slices.BinarySearchFunc(l.areas, a, func(area Area, a uffd.Addr) int {
		if area.End <= a {
			return -1
		}
		return 1
	})
	return i
}

// Page is the page of an address, and false where the layout has none.
func (l *Layout) Page(a uffd.Addr) (Area, bool) {
	i := l.first(a)
	if i == len(l.areas) || !l.areas[i].Contains(a) {
		return Area{}, false
	}
	size := l.areas[i].pageSize()
	start := a.AlignDown(size)
	return l.areas[i].part(uffd.Range{Start: start, End: start + uffd.Addr(size)}), true
}

// Remove makes what lies in r read as zeros: it was discarded.
func (l *Layout) Remove(r uffd.Range) {
	for _, a := range l.cut(r) {
		a.Contents = nil
		l.insert(a)
	}
}

// Unmap takes what lies in r out of the layout.
func (l *Layout) Unmap(r uffd.Range) { l.cut(r) }

// Remap moves what lies in from to another place, over what is there.
func (l *Layout) Remap(from uffd.Range, to uffd.Addr) {
	moved := l.cut(from)
	l.cut(uffd.Range{Start: to, End: to + uffd.Addr(from.Len())})
	for _, a := range moved {
		a.Range = uffd.Range{Start: a.Start - from.Start + to, End: a.End - from.Start + to}
		l.insert(a)
	}
}

// apply makes the layout what an event made of the memory, and answers where nobody should wait any more.
func (l *Layout) apply(m *uffd.Msg) (wake uffd.Range, err error) {
	switch m.Event {
	case uffd.EventRemove:
		l.Remove(m.Removed())
		return m.Removed(), nil
	case uffd.EventUnmap:
		l.Unmap(m.Removed())
		return m.Removed(), nil
	case uffd.EventRemap:
		from, to := m.Remap()
		l.Remap(from, to)
		return from, nil
	}
	return uffd.Range{}, fmt.Errorf("%w: message %v", uffd.ErrInvalid, m)
}

// cut takes the pieces that lie in r out, and returns them.
func (l *Layout) cut(r uffd.Range) (out []Area) {
	if r.Len() == 0 {
		return nil
	}
	i := l.first(r.Start)
	j := i
	var keep []Area
	for ; j < len(l.areas) && l.areas[j].Start < r.End; j++ {
		a := l.areas[j]
		out = append(out, a.part(r))
		if a.Start < r.Start {
			keep = append(keep, a.part(uffd.Range{Start: a.Start, End: r.Start}))
		}
		if a.End > r.End {
			keep = append(keep, a.part(uffd.Range{Start: r.End, End: a.End}))
		}
	}
	l.areas = slices.Replace(l.areas, i, j, keep...)
	return out
}

// insert adds an area where there is none. Neighbours of zeros become one, so that a process that
// discards page by page does not make the layout long.
func (l *Layout) insert(a Area) {
	i := l.first(a.Start)
	joins := func(a, b Area) bool {
		return a.End == b.Start && a.Contents == nil && b.Contents == nil && a.PageSize == b.PageSize
	}
	if i > 0 && joins(l.areas[i-1], a) {
		i--
		a.Start = l.areas[i].Start
		l.areas = slices.Delete(l.areas, i, i+1)
	}
	if i < len(l.areas) && joins(a, l.areas[i]) {
		a.End = l.areas[i].End
		l.areas = slices.Delete(l.areas, i, i+1)
	}
	l.areas = slices.Insert(l.areas, i, a)
}

// clone is a layout of its own with the same areas.
func (l *Layout) clone() *Layout { return &Layout{areas: slices.Clone(l.areas)} }
