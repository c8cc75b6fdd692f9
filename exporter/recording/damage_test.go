package recording

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// Of a file that is cut off anywhere, everything before the cut is read, and the error says where it is.
func TestTruncatedAnywhere(t *testing.T) {
	want := sample(9000) // nine frames of faults
	b := encoded(t, want)
	cuts := frameEnds(t, b)
	faults, last := 0, len(b)-1
	for n := range b {
		// Everywhere in the head, and then the ends of frames and some places in them.
		if n > 200 && n != last && n%977 != 0 && !slices.Contains(cuts, n) && !slices.Contains(cuts, n+1) {
			continue
		}
		got, err := Read(bytes.NewReader(b[:n]))
		if n < len(magic) {
			if !errors.Is(err, ErrNotRecording) || got != nil {
				t.Fatalf("%d bytes: %v, %v", n, got, err)
			}
			continue
		}
		if !errors.Is(err, ErrTruncated) {
			t.Fatalf("%d of %d bytes: %v, want ErrTruncated", n, len(b), err)
		}
		if n < headSize {
			continue
		}
		if have := len(got.Snapshot.Faults); have < faults || !slices.Equal(got.Snapshot.Faults, want.Snapshot.Faults[:have]) {
			t.Fatalf("%d bytes: %d faults, after %d of less", n, have, faults)
		} else {
			faults = have
		}
	}
	if faults != 9000 {
		t.Errorf("with all but the last byte %d faults were read, want all", faults)
	}
}

// frameEnds lists the offsets behind each frame.
func frameEnds(t *testing.T, b []byte) (ends []int) {
	t.Helper()
	in := bytes.NewReader(b)
	r, err := newReader(in)
	for err == nil {
		ends = append(ends, int(r.at))
		_, _, err = r.next()
	}
	if len(ends) < 10 || !errors.Is(err, ErrTruncated) {
		t.Fatalf("%v, then %v", ends, err)
	}
	return ends
}

func TestAnyDamageIsSeen(t *testing.T) {
	b := encoded(t, sample(testproc.Times(100, 300)))
	for i := headSize; i < len(b); i++ {
		bad := slices.Clone(b)
		bad[i] ^= 1 << (i % 8)
		got, err := Read(bytes.NewReader(bad))
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTruncated) {
			t.Fatalf("byte %d changed: %v, %v", i, got, err)
		}
	}
}

func TestWhatIsNoRecording(t *testing.T) {
	newer := encoded(t, sample(1))
	binary.LittleEndian.PutUint16(newer[len(magic):], majorVers+1)
	later := encoded(t, sample(1))
	binary.LittleEndian.PutUint16(later[len(magic)+2:], minorVers+1)
	for _, tt := range []struct {
		name string
		data []byte
		want error
	}{
		{"nothing", nil, ErrNotRecording},
		{"text", []byte("<!DOCTYPE html><html></html>"), ErrNotRecording},
		{"a profile", []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1, 2}, ErrNotRecording},
		{"line ends replaced", bytes.ReplaceAll(encoded(t, sample(1)), []byte("\r\n"), []byte("\n")), ErrNotRecording},
		{"a newer major version", newer, ErrNewer},
		{"a newer minor version", later, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Read(bytes.NewReader(tt.data)); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestReadersErrorIsKept(t *testing.T) {
	b := encoded(t, sample(10))
	broken := errors.New("broken")
	for _, n := range []int{0, 5, 100, len(b) - 1} {
		if _, err := Read(io.MultiReader(bytes.NewReader(b[:n]), iotest.ErrReader(broken))); !errors.Is(err, broken) || errors.Is(err, ErrTruncated) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// A reader of this version skips the tables and columns of later ones.
func TestLaterTablesAndColumnsAreSkipped(t *testing.T) {
	want := sample(10)
	var b bytes.Buffer
	out := newWriter(&b, flate.DefaultCompression)
	originTable.write(out, []origin{{Origin: want.Origin, written: unixNano(want.Origin.Written)}})
	table[string]{200, visitNote}.write(out, []string{"of a later version"})
	table[string]{noteTable.kind, func(c *columns, s *string) {
		visitNote(c, s)
		text(c, 63, s)
	}}.write(out, []string{"a note"})
	endTable.write(out, []end{{out.frames}})
	got, err := Read(&b)
	if err != nil || !slices.Equal(got.Snapshot.Stats.Notes, []string{"a note"}) || got.Origin.Reason != want.Origin.Reason {
		t.Errorf("%+v, %v", got, err)
	}
}
