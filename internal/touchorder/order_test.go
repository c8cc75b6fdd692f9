package touchorder

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func some() *Order {
	made := time.Date(2026, 11, 30, 20, 15, 0, 0, time.UTC)
	return &Order{Made: made, From: "a \"recording\"\nof two lines", Starts: 2, Files: []File{
		{Path: "/data/a b\n.db", Size: 1 << 20, Modified: made.Add(5), Inode: 7, Samples: []Sample{{0, 1<<64 - 1}, {4096, 0}}, Ranges: []Range{
			{8192, 4096, 0, 20 * time.Microsecond}, {0, 8192, time.Millisecond, 0},
		}},
		{Path: "/data/unchecked", Ranges: []Range{{1 << 40, 1 << 20, time.Hour, time.Second}}},
	}}
}

func text(t *testing.T, o *Order) string {
	t.Helper()
	var b bytes.Buffer
	if err := o.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	want := some()
	got, err := Read(strings.NewReader(text(t, want)))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v\nwant %+v", got, err, want)
	}
	if want.Bytes() != 12288+1<<20 || want.Ranges() != 3 || want.Saves() != time.Second+20*time.Microsecond {
		t.Errorf("%d bytes in %d ranges save %v", want.Bytes(), want.Ranges(), want.Saves())
	}
}

// TestBadFilesAreRefused: each with an error that says what is wrong and where.
func TestBadFilesAreRefused(t *testing.T) {
	head := "firsttouch order 1\n"
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "the file is empty"},
		{"something else", "PK\x03\x04", "this is no order of touches"},
		{"binary without lines", strings.Repeat("x", 1<<20), "line 1 is too long"},
		{"later version", "firsttouch order 2\nend\n", "the file is of a later version"},
		{"cut", head + "file \"/a\"\n0 1 0 0\n", "cut off"},
		{"cut in a line", text(t, some())[:500], "line 10: \"sampl\" is no range"},
		{"behind the end", head + "end\nfile \"/a\"\n", "line 3 comes after the end"},
		{"a range of no file", head + "0 1 0 0\nend\n", "comes before the first file"},
		{"a relative path", head + "file \"a\"\nend\n", "has to be absolute"},
		{"a path that climbs", head + "file \"/a/../../etc/shadow\"\nend\n", "has to be absolute"},
		{"a path with a zero", head + "file \"/a\\x00b\"\nend\n", "has to be absolute"},
		{"a path twice", head + "file \"/a\"\nfile \"/a\"\nend\n", "is there twice"},
		{"no quotes", head + "file /a\nend\n", "line 2: invalid syntax"},
		{"half a range", head + "file \"/a\"\n0 1\nend\n", "line 3: \"0 1\" is no range"},
		{"a negative offset", head + "file \"/a\"\n-1 1 0 0\nend\n", "the range of 1 bytes at -1 is none"},
		{"no length", head + "file \"/a\"\n0 0 0 0\nend\n", "the range of 0 bytes at 0 is none"},
		{"an overflow", head + "file \"/a\"\n9223372036854775807 9223372036854775807 0 0\nend\n", "is none"},
		{"a number too large", head + "file \"/a\"\n0 92233720368547758070 0 0\nend\n", "is no range"},
		{"times that overflow", head + "file \"/a\"\n0 1 9223372036854775807 0\nend\n", "the times have to be"},
		{"an overlap", head + "file \"/a\"\n0 4096 0 0\n4095 1 0 0\nend\n", "overlaps another one"},
		{"behind the file", head + "file \"/a\"\nsize 10 modified 2026-11-30T20:15:00Z inode 1\n8 4 0 0\nend\n", "is outside of the file's 10 bytes"},
		{"no size", head + "file \"/a\"\nsize 0 modified 2026-11-30T20:15:00Z inode 1\nend\n", "the size has to be above 0"},
		{"a sample behind the file", head + "file \"/a\"\nsize 10 modified 2026-11-30T20:15:00Z inode 1\nsample 10 ff\nend\n", "the sample at 10 is outside"},
		{"many samples", head + "file \"/a\"\n" + strings.Repeat("sample 0 0\n", samplesMost+1) + "end\n", "at most 32 of them"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := Read(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, ErrInvalid) {
				t.Errorf("read %+v, %v; want an error with %q", o, err, c.want)
			}
		})
	}
}

// endless repeats a line for ever.
type endless struct {
	head, line string
	n          int
}

func (e *endless) Read(b []byte) (int, error) {
	if e.n++; e.n == 1 {
		return copy(b, e.head), nil
	}
	return copy(b, e.line), nil
}

// TestReadingIsBounded: a file without an end is refused before it fills the memory.
func TestReadingIsBounded(t *testing.T) {
	for _, line := range []string{"# a comment\n", "0 1 0 0\n"} {
		_, err := Read(&endless{head: "firsttouch order 1\nfile \"/a\"\n", line: line})
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%q for ever: %v", line, err)
		}
	}
}

// FuzzRead: whatever a file holds, reading it ends without a crash, and what was read is written and read again as it is.
func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := some().Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.String())
	f.Add(b.String()[:300])
	f.Add("firsttouch order 1\nfile \"/a\"\n0 1 0 0\nend\n")
	f.Add("firsttouch order 1\nmade 9999-12-31T23:59:59Z\nstarts -1\nend")
	f.Fuzz(func(t *testing.T, data string) {
		o, err := Read(strings.NewReader(data))
		if err != nil {
			return
		}
		o.Made, o.Starts = o.Made.UTC(), max(o.Starts, 1)
		var b bytes.Buffer
		if err := o.Write(&b); err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", o, err)
		}
		again, err := Read(&b)
		if err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", o) {
			t.Errorf("read %+v, %v; want %+v", again, err, o)
		}
	})
}

// TestStartsAgree: of three starts, what two of them touched is kept, cut where they differ.
func TestStartsAgree(t *testing.T) {
	start := func(ranges ...Range) *Order {
		return &Order{Starts: 1, Files: []File{{Path: "/a", Size: 1 << 20, Ranges: ranges}}}
	}
	a := start(Range{0, 8192, 5, 200}, Range{40960, 4096, 1, 7})
	b := start(Range{4096, 8192, 3, 100}, Range{40960, 4096, 9, 0})
	c := start(Range{12288, 4096, 1, 1}, Range{40960, 4096, 4, 70})
	for need, want := range map[int][]Range{
		0: {{40960, 4096, 1, 38}, {4096, 4096, 3, 75}},
		1: {{0, 16384, 1, 226}, {40960, 4096, 1, 38}},
		3: {{40960, 4096, 1, 38}},
	} {
		o := Agreed([]*Order{a, b, c}, need)
		if o.Starts != 3 || len(o.Files) != 1 || !reflect.DeepEqual(o.Files[0].Ranges, want) {
			t.Errorf("with %d of 3: %+v, want %v", need, o, want)
		}
	}
	// The last start's file is shorter: what is behind its end is gone.
	c.Files[0].Size, c.Files[0].Ranges = 16384, c.Files[0].Ranges[:1]
	if o := Agreed([]*Order{a, b, c}, 0); !reflect.DeepEqual(o.Files[0].Ranges, []Range{{4096, 4096, 3, 75}}) {
		t.Errorf("of a file that was cut: %+v", o)
	}
	// A start that found all of it there, and one page more.
	next := start(Range{4096, 12288, 1, 0}, Range{40960, 8192, 1, 9})
	next.Inherit(a)
	if want := []Range{{4096, 12288, 1, 100}, {40960, 8192, 1, 9}}; !reflect.DeepEqual(next.Files[0].Ranges, want) {
		t.Errorf("inherited %v, want %v", next.Files[0].Ranges, want)
	}
}
