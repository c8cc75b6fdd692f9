package recording

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"testing"
)

// FuzzRead: whatever a file holds, reading it ends without a crash, and what was read without an error is
// written and read again as it is.
func FuzzRead(f *testing.F) {
	b := encoded(f, sample(50))
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte(magic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Read(bytes.NewReader(data))
		if err == nil {
			again(t, r)
		}
	})
}

// FuzzTables gives the reader tables whose checksums are right: kind, size and contents, one after the
// other.
func FuzzTables(f *testing.F) {
	in, err := newReader(bytes.NewReader(encoded(f, sample(50))))
	if err != nil {
		f.Fatal(err)
	}
	var all []byte
	for {
		kind, content, err := in.next()
		if err != nil {
			break
		}
		one := append(binary.LittleEndian.AppendUint16([]byte{kind}, uint16(len(content))), content...)
		f.Add(one)
		all = append(all, one...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, data []byte) {
		var b bytes.Buffer
		out := newWriter(&b, flate.DefaultCompression)
		for len(data) > 3 {
			n := min(int(binary.LittleEndian.Uint16(data[1:])), len(data)-3)
			out.frame(data[0], data[3:3+n])
			data = data[3+n:]
		}
		endTable.write(out, []end{{out.frames}})
		if r, err := Read(&b); err == nil {
			again(t, r)
		}
	})
}

// again uses all that was read.
func again(t *testing.T, r *Recording) {
	got, err := Read(bytes.NewReader(encoded(t, r)))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, r)
}
