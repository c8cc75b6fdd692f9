// Package touchorder keeps, in a text file, which ranges of which files a service touches first, in order, and reads them into the page
// cache before the service needs them. It knows neither the profiler nor its engine: package prefetch makes orders of recordings.
package touchorder

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Order is what was touched first, of which files.
type Order struct {
	Made   time.Time // in UTC
	From   string    // what it was made of, in words; one line
	Starts int       // how many starts of the service it is made of
	Files  []File
}

// File is one file, with what tells whether it has changed.
type File struct {
	Path string // absolute and clean
	// Size and the rest are those of the file when the order was made. Where it was not there, Size is 0, and nothing can be checked.
	Size     int64
	Modified time.Time
	Inode    uint64
	Samples  []Sample
	Ranges   []Range // in order of first touch; none overlaps another
}

// Sample is the checksum of one piece of a file, of at most sampleSize bytes.
type Sample struct {
	Offset int64
	Sum    uint64
}

// Range is a part of a file that is touched.
type Range struct {
	Offset, Length int64
	At             time.Duration // when its first byte was touched, since the start of the recording
	Saves          time.Duration // how long threads waited for storage because of it
}

// part is what a part of the range saves.
func (r Range) part(length int64) time.Duration {
	return time.Duration(float64(r.Saves) * float64(length) / float64(r.Length))
}

// End is the offset behind the range.
func (r Range) End() int64 { return r.Offset + r.Length }

// What an order may have: reading one of a stranger takes bounded memory.
const (
	textMost   = 64 << 20
	filesMost  = 1 << 16
	pathMost   = 4096
	lengthMost = 1 << 40
)

// Bytes is the size of all ranges.
func (o *Order) Bytes() (n int64) {
	for i := range o.Files {
		n += o.Files[i].Bytes()
	}
	return n
}

// Ranges is how many there are.
func (o *Order) Ranges() (n int) {
	for i := range o.Files {
		n += len(o.Files[i].Ranges)
	}
	return n
}

// Saves is how long threads waited for storage because of all ranges. It is a sum over threads.
func (o *Order) Saves() (d time.Duration) {
	for i := range o.Files {
		for _, r := range o.Files[i].Ranges {
			d += r.Saves
		}
	}
	return d
}

// Bytes is the size of the file's ranges.
func (f *File) Bytes() (n int64) {
	for _, r := range f.Ranges {
		n += r.Length
	}
	return n
}

// ErrInvalid marks an order that cannot be used.
var ErrInvalid = errors.New("unusable order of touches")

// check holds the order to what the form allows.
func (o *Order) check() error {
	if len(o.Files) > filesMost || o.Ranges() > RangesMost {
		return fmt.Errorf("%w: %d files and %d ranges: at most %d and %d are allowed", ErrInvalid, len(o.Files), o.Ranges(), filesMost, RangesMost)
	}
	seen := make(map[string]bool, len(o.Files))
	for i := range o.Files {
		f := &o.Files[i]
		if seen[f.Path] {
			return fmt.Errorf("%w: %q is there twice", ErrInvalid, f.Path)
		}
		seen[f.Path] = true
		if err := f.check(); err != nil {
			return fmt.Errorf("%w: %q: %w", ErrInvalid, f.Path, err)
		}
	}
	return nil
}

func (f *File) check() error {
	if !filepath.IsAbs(f.Path) || filepath.Clean(f.Path) != f.Path || len(f.Path) > pathMost || strings.ContainsRune(f.Path, 0) {
		return errors.New("the path of a file has to be absolute, without '.' and '..'")
	}
	for _, s := range f.Samples {
		if s.Offset < 0 || s.Offset >= f.Size {
			return fmt.Errorf("the sample at %d is outside of the file's %d bytes", s.Offset, f.Size)
		}
	}
	sorted := slices.SortedFunc(slices.Values(f.Ranges), byOffset)
	end := int64(0)
	for _, r := range sorted {
		if r.Offset < 0 || r.Length <= 0 || r.Length > lengthMost || r.Offset > 1<<62 || r.At < 0 || r.Saves < 0 {
			return fmt.Errorf("the range of %d bytes at %d is none", r.Length, r.Offset)
		}
		if f.Size > 0 && r.End() > f.Size {
			return fmt.Errorf("the range of %d bytes at %d is outside of the file's %d bytes", r.Length, r.Offset, f.Size)
		}
		if r.Offset < end {
			return fmt.Errorf("the range at %d overlaps another one", r.Offset)
		}
		end = r.End()
	}
	return nil
}

func byOffset(a, b Range) int { return cmp.Compare(a.Offset, b.Offset) }

// Agreed is the order of what at least need of several starts touched: need 0 is more than half of them. A range saves what
// it saved on average in those in which it saved anything: in the others it was there already. What is known of a file is what the last start knew.
func Agreed(starts []*Order, need int) *Order {
	if need == 0 {
		need = len(starts)/2 + 1
	}
	out := &Order{Starts: len(starts)}
	byPath := make(map[string][]*File)
	var paths []string
	for _, o := range starts {
		if o.Made.After(out.Made) {
			out.Made = o.Made
		}
		for i := range o.Files {
			f := &o.Files[i]
			if byPath[f.Path] == nil {
				paths = append(paths, f.Path)
			}
			byPath[f.Path] = append(byPath[f.Path], f)
		}
	}
	for _, p := range paths {
		list := byPath[p]
		last := list[len(list)-1]
		f := File{Path: p, Size: last.Size, Modified: last.Modified, Inode: last.Inode, Samples: last.Samples, Ranges: agreed(list, need)}
		if f.Size > 0 {
			f.Ranges = slices.DeleteFunc(f.Ranges, func(r Range) bool { return r.End() > f.Size })
		}
		if len(f.Ranges) > 0 {
			out.Files = append(out.Files, f)
		}
	}
	return out
}

// Inherit has ranges that saved nothing, since old was read ahead, save what they did in it.
func (o *Order) Inherit(old *Order) {
	before := make(map[string][]Range)
	for i := range old.Files {
		before[old.Files[i].Path] = slices.SortedFunc(slices.Values(old.Files[i].Ranges), byOffset)
	}
	for i := range o.Files {
		list := before[o.Files[i].Path]
		for k := range o.Files[i].Ranges {
			r := &o.Files[i].Ranges[k]
			if r.Saves > 0 {
				continue
			}
			at, _ := slices.BinarySearchFunc(list, r.Offset, func(x Range, offset int64) int { return cmp.Compare(x.End(), offset+1) })
			for _, x := range list[at:] {
				if x.Offset >= r.End() {
					break
				}
				r.Saves += x.part(min(x.End(), r.End()) - max(x.Offset, r.Offset))
			}
		}
	}
}

// agreed sweeps over the ends of all ranges, ascending.
func agreed(files []*File, need int) (out []Range) {
	type edge struct {
		at   int64
		open bool
		r    *Range
	}
	var edges []edge
	for _, f := range files {
		for i := range f.Ranges {
			r := &f.Ranges[i]
			edges = append(edges, edge{r.Offset, true, r}, edge{r.End(), false, r})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	active := make(map[*Range]bool)
	for i, e := range edges {
		if e.open {
			active[e.r] = true
		} else {
			delete(active, e.r)
		}
		if i+1 == len(edges) || edges[i+1].at == e.at || len(active) < need {
			continue
		}
		piece := Range{Offset: e.at, Length: edges[i+1].at - e.at, At: 1<<63 - 1}
		waited := time.Duration(0)
		for r := range active {
			if piece.At = min(piece.At, r.At); r.Saves > 0 {
				piece.Saves += r.part(piece.Length)
				waited++
			}
		}
		piece.Saves /= max(waited, 1)
		if k := len(out) - 1; k >= 0 && out[k].End() == piece.Offset && out[k].Length+piece.Length <= RangeMost {
			out[k].Length, out[k].At, out[k].Saves = out[k].Length+piece.Length, min(out[k].At, piece.At), out[k].Saves+piece.Saves
			continue
		}
		out = append(out, piece)
	}
	slices.SortStableFunc(out, func(a, b Range) int { return cmp.Compare(a.At, b.At) })
	return out
}

// RangeMost is how long a range is made at most, so that the order within it is not lost, and RangesMost how many an order may have.
const (
	RangeMost  = 1 << 20
	RangesMost = 1 << 20
)
