package touchorder

import (
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"slices"
	"time"
)

// Samples of a file: pieces of the ranges, spread over them. Who changes a part of a file in place changes few of them; a file that was
// written anew most of them.
const (
	samplesMost = 32
	sampleSize  = 4096
)

// A file whose times or inode are others is read all the same where at least this share of its samples is the same: it was copied, or
// changed in places.
const sameShare = 0.75

var sums = crc64.MakeTable(crc64.ECMA)

// Identify notes what tells whether the files are the same later: size, time, inode and samples. It returns those that are not there, or
// cannot be read, with the reason: their ranges stay, unchecked. Ranges behind the end of a file are cut.
func (o *Order) Identify() (failed map[string]error) {
	failed = o.identify()
	for i := range o.Files {
		if f := &o.Files[i]; failed[f.Path] != nil {
			f.Size, f.Samples = 0, nil
		}
	}
	o.Files = slices.DeleteFunc(o.Files, func(f File) bool { return len(f.Ranges) == 0 })
	return failed
}

// is notes what an open file is.
func (f *File) is(size int64, modified time.Time, inode uint64, file io.ReaderAt) error {
	f.Size, f.Modified, f.Inode, f.Samples = size, modified.UTC(), inode, nil
	f.Ranges = slices.DeleteFunc(f.Ranges, func(r Range) bool { return r.Offset >= f.Size })
	for i := range f.Ranges {
		f.Ranges[i].Length = min(f.Ranges[i].Length, f.Size-f.Ranges[i].Offset)
	}
	sorted := slices.SortedFunc(slices.Values(f.Ranges), byOffset)
	step := max(len(sorted)/samplesMost, 1)
	for i := 0; i < len(sorted) && len(f.Samples) < samplesMost; i += step {
		sum, err := sampleOf(file, sorted[i].Offset)
		if err != nil {
			return err
		}
		f.Samples = append(f.Samples, Sample{sorted[i].Offset, sum})
	}
	return nil
}

func sampleOf(r io.ReaderAt, offset int64) (uint64, error) {
	b := make([]byte, sampleSize)
	n, err := r.ReadAt(b, offset)
	if err != nil && (err != io.EOF || n == 0) {
		return 0, fmt.Errorf("reading a sample at %d: %w", offset, err)
	}
	return crc64.Checksum(b[:n], sums), nil
}

// verdict is what is known of a file before it is read.
type verdict struct {
	skip error  // why it is not read, or nil
	note string // what has to be known of it, or empty
}

// judge compares a file with what the order knows of it. The samples are read only where its time or inode are others.
func (f *File) judge(size, modified int64, inode uint64, r io.ReaderAt) verdict {
	switch {
	case f.Size == 0:
		return verdict{note: "the order was written where the file was not, so that it is not known whether it is the same"}
	case size == f.Size && modified == f.Modified.UnixNano() && inode == f.Inode:
		return verdict{}
	case len(f.Samples) == 0:
		return verdict{skip: errors.New("it has changed since the order was written, which has no samples to tell how much: write the order again")}
	}
	same := 0
	for _, s := range f.Samples {
		if sum, err := sampleOf(r, s.Offset); err == nil && sum == s.Sum {
			same++
		}
	}
	if float64(same) < sameShare*float64(len(f.Samples)) {
		return verdict{skip: fmt.Errorf("it has changed since the order was written: of %d pieces looked at %d are the same: write the order again", len(f.Samples), same)}
	}
	if same < len(f.Samples) || size != f.Size {
		return verdict{note: fmt.Sprintf("it has changed in places since the order was written: of %d pieces looked at %d are the same", len(f.Samples), same)}
	}
	return verdict{} // a copy
}

// errNotRegular is why anything but a regular file is not opened.
var errNotRegular = errors.New("this is no regular file")
