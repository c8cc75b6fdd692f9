package touchorder

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// The form is text, a line each: the first names form and version, the last is "end". Lines that start with # are for people.
//
//	firsttouch order 1
//	made 2026-11-30T20:15:00Z
//	from "recording.ftr"
//	starts 1
//	file "/var/lib/app/data.db"
//	size 173363200 modified 2026-11-30T13:07:00.5Z inode 262
//	sample 0 8d2c7f6c1f0b9a10
//	0 16384 1200 131
//	end
const (
	formName    = "firsttouch order "
	formVersion = "1"
)

const explained = `# Which parts of which files are touched first, in order. A line of four numbers is a range of the file above it: offset and bytes,
# when it was touched and how long threads waited for storage because of it, both in microseconds. Lines may be deleted.
# To read it all into the page cache: firsttouch prefetch THIS_FILE
`

// ErrTruncated marks an order whose end is missing.
var ErrTruncated = errors.New("the file is cut off")

// ErrNewer marks an order of a later version.
var ErrNewer = errors.New("the file is of a later version of firsttouch")

// Write writes the order.
func (o *Order) Write(w io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s%s\n%smade %s\nfrom %q\nstarts %d\n", formName, formVersion, explained, o.Made.UTC().Format(time.RFC3339), o.From, max(o.Starts, 1))
	for i := range o.Files {
		f := &o.Files[i]
		fmt.Fprintf(out, "file %q\n", f.Path)
		if f.Size > 0 {
			fmt.Fprintf(out, "size %d modified %s inode %d\n", f.Size, f.Modified.UTC().Format(time.RFC3339Nano), f.Inode)
		}
		for _, s := range f.Samples {
			fmt.Fprintf(out, "sample %d %016x\n", s.Offset, s.Sum)
		}
		for _, r := range f.Ranges {
			fmt.Fprintf(out, "%d %d %d %d\n", r.Offset, r.Length, r.At.Microseconds(), r.Saves.Microseconds())
		}
	}
	fmt.Fprintln(out, "end")
	return out.Flush()
}

// Read reads an order. What it takes is bounded, whatever r has.
func Read(r io.Reader) (*Order, error) {
	in := bufio.NewScanner(io.LimitReader(r, textMost+1))
	in.Buffer(make([]byte, 0, 4096), 5*pathMost)
	o := &Order{}
	var p parser
	n, size := 0, int64(0)
	for in.Scan() {
		n++
		if size += int64(len(in.Bytes())) + 1; size > textMost {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrInvalid, textMost)
		}
		if p.ended {
			return nil, fmt.Errorf("%w: line %d comes after the end", ErrInvalid, n)
		}
		if err := p.line(o, n, in.Text()); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrInvalid, n, err)
		}
	}
	if err := in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%w: line %d is too long", ErrInvalid, n+1)
	} else if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, fmt.Errorf("%w: the file is empty: write it with firsttouch prefetch RECORDING -out FILE", ErrInvalid)
	}
	if !p.ended {
		return nil, fmt.Errorf("%w: %w: its last line is not \"end\": write it again with firsttouch prefetch RECORDING -out FILE", ErrInvalid, ErrTruncated)
	}
	return o, o.check()
}

// parser is what Read knows between lines.
type parser struct {
	ranges int
	ended  bool
}

func (p *parser) line(o *Order, n int, text string) error {
	if n == 1 {
		version, ok := strings.CutPrefix(text, formName)
		switch {
		case !ok:
			return errors.New("this is no order of touches: write one with firsttouch prefetch RECORDING -out FILE")
		case version != formVersion:
			return fmt.Errorf("%w: version %.20q, and this program reads %s", ErrNewer, version, formVersion)
		}
		return nil
	}
	if text == "" || text[0] == '#' {
		return nil
	}
	word, rest, _ := strings.Cut(text, " ")
	var f *File
	if len(o.Files) > 0 {
		f = &o.Files[len(o.Files)-1]
	}
	var err error
	switch word {
	case "made":
		o.Made, err = time.Parse(time.RFC3339, rest)
		return err
	case "from":
		o.From, err = strconv.Unquote(rest)
		return err
	case "starts":
		o.Starts, err = strconv.Atoi(rest)
		return err
	case "end":
		p.ended = true
		return nil
	case "file":
		if len(o.Files) == filesMost {
			return fmt.Errorf("more than %d files", filesMost)
		}
		path, err := strconv.Unquote(rest)
		o.Files = append(o.Files, File{Path: path})
		return err
	}
	if f == nil {
		return fmt.Errorf("%.40q is not known, or comes before the first file", text)
	}
	fields := strings.Fields(text)
	switch word {
	case "size":
		if len(fields) != 6 || fields[2] != "modified" || fields[4] != "inode" {
			return errors.New("write size BYTES modified TIME inode NUMBER")
		}
		size, err1 := strconv.ParseInt(fields[1], 10, 64)
		modified, err2 := time.Parse(time.RFC3339Nano, fields[3])
		inode, err3 := strconv.ParseUint(fields[5], 10, 64)
		if size <= 0 {
			err1 = errors.Join(err1, errors.New("the size has to be above 0"))
		}
		f.Size, f.Modified, f.Inode = size, modified, inode
		return errors.Join(err1, err2, err3)
	case "sample":
		if len(fields) != 3 || len(f.Samples) == samplesMost {
			return fmt.Errorf("write sample OFFSET CHECKSUM, at most %d of them", samplesMost)
		}
		offset, err1 := strconv.ParseInt(fields[1], 10, 64)
		sum, err2 := strconv.ParseUint(fields[2], 16, 64)
		f.Samples = append(f.Samples, Sample{offset, sum})
		return errors.Join(err1, err2)
	}
	if p.ranges++; p.ranges > RangesMost {
		return fmt.Errorf("more than %d ranges", RangesMost)
	}
	if len(fields) != 4 {
		return fmt.Errorf("%.40q is no range: write OFFSET BYTES AT SAVES", text)
	}
	var v [4]int64
	for i, s := range fields {
		if v[i], err = strconv.ParseInt(s, 10, 64); err != nil {
			return fmt.Errorf("%.40q is no range: write OFFSET BYTES AT SAVES", text)
		}
	}
	const most = int64(1) << 50 // microseconds: no overflow
	if v[2] < 0 || v[3] < 0 || v[2] > most || v[3] > most {
		return fmt.Errorf("%.40q: the times have to be from 0 to %d", text, most)
	}
	f.Ranges = append(f.Ranges, Range{v[0], v[1], time.Duration(v[2]) * time.Microsecond, time.Duration(v[3]) * time.Microsecond})
	return nil
}
