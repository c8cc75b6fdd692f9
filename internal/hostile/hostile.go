// Package hostile makes, for tests, recordings that nobody would write who means well: rows that need one byte and
// take much, names that are escape sequences. It knows the format from docs/recording.md alone, so that no
// writer's care is in them.
package hostile

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
)

// Frame is one part of a recording.
type Frame struct {
	Table   byte
	Rows    int
	Columns map[int][]byte
}

// Numbers are the values of a column, as numbers or, in columns of that kind, steps.
func Numbers(v ...int64) (b []byte) {
	for _, n := range v {
		b = binary.AppendVarint(b, n)
	}
	return b
}

// Repeat are n times the same values.
func Repeat(n int, v ...int64) []byte { return bytes.Repeat(Numbers(v...), n) }

// Texts are the values of a column of texts.
func Texts(list ...string) (b []byte) {
	for _, s := range list {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// File is a recording of these parts, with an end.
func File(frames ...Frame) []byte {
	out := []byte("\x89FTR\r\n\x1a\n\x01\x00\x01\x00")
	for _, f := range append(slices.Clone(frames), Frame{16, 1, map[int][]byte{1: Numbers(int64(len(frames)))}}) {
		out = f.append(out)
	}
	return out
}

func (f Frame) append(out []byte) []byte {
	content := binary.AppendUvarint(nil, uint64(f.Rows))
	for _, id := range slices.Sorted(maps.Keys(f.Columns)) {
		content = binary.AppendUvarint(content, uint64(id))
		content = binary.AppendUvarint(content, uint64(len(f.Columns[id])))
		content = append(content, f.Columns[id]...)
	}
	var stored bytes.Buffer
	w, _ := flate.NewWriter(&stored, flate.BestCompression) // the level exists
	_, _ = w.Write(content)                                 // a Buffer takes everything
	_ = w.Close()
	head := binary.LittleEndian.AppendUint32([]byte{f.Table}, uint32(len(content)))
	head = binary.LittleEndian.AppendUint32(head, uint32(stored.Len()))
	sum := crc32.MakeTable(crc32.Castagnoli)
	head = binary.LittleEndian.AppendUint32(head, crc32.Update(crc32.Checksum(head, sum), sum, stored.Bytes()))
	return append(append(out, head...), stored.Bytes()...)
}

// Origin is the part without which nothing of a recording is used.
func Origin() Frame {
	return Frame{1, 1, map[int][]byte{1: Texts("/bin/service"), 5: Texts("v0"), 8: Texts("all"), 12: Numbers(1e9)}}
}

// Regions are n regions of 1 GiB.
func Regions(n int) Frame {
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(i)
	}
	return Frame{3, n, map[int][]byte{1: Numbers(ids...), 2: Texts(slices.Repeat([]string{"r"}, n)...), 4: Repeat(n, 4096), 5: Repeat(n, 1<<30)}}
}

const rowsMost = 1 << 16

// Tables are the numbers of the tables of rows.
var Tables = []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 99}

// Rows are frames of a table with as many rows as a frame may have, each of which has one byte.
func Rows(table byte, frames int) []byte {
	list := []Frame{Origin(), Regions(1)}
	for k := range frames {
		columns := map[int][]byte{63: Repeat(rowsMost, 0)}
		switch table {
		case 3: // numbered on, with a granule, so that nothing else is wrong with them
			ids := make([]int64, rowsMost)
			for i := range ids {
				ids[i] = int64(1 + k*rowsMost + i)
			}
			columns = map[int][]byte{1: Numbers(ids...), 4: Repeat(rowsMost, 1)}
		case 6:
			columns = map[int][]byte{2: Repeat(rowsMost, 2), 3: Repeat(rowsMost, 1)}
		case 5:
			columns = map[int][]byte{3: Repeat(rowsMost, 1e6), 4: Repeat(rowsMost, 1)}
		case 9, 12, 13:
			columns = map[int][]byte{1: Repeat(rowsMost, 1)}
		case 15:
			columns = map[int][]byte{1: Repeat(rowsMost, 1), 3: Repeat(rowsMost, 1<<22)}
		}
		list = append(list, Frame{table, rowsMost, columns})
	}
	return File(list...)
}

// Shapes are recordings by name. All of them are small, and whole as the format has it.
func Shapes() map[string][]byte {
	many := make([]int64, 1<<19)
	for i := range many {
		many[i] = 1
	}
	ids := make([]int64, 1<<15)
	for i := range ids {
		ids[i] = int64(i)
	}
	long := strings.Repeat("x", 4<<20)
	inlined := Frame{9, rowsMost, map[int][]byte{1: append(Numbers(7), Repeat(rowsMost-1, 0)...), 4: Texts(slices.Repeat([]string{"main.f"}, rowsMost)...)}}
	shapes := map[string][]byte{
		"regions": File(Origin(), Regions(1<<15), Frame{11, 1 << 15, map[int][]byte{1: Repeat(1<<15, 1), 5: Repeat(1<<15, 1), 7: Repeat(1<<15, 1)}}),
		"windows": File(Origin(), Regions(1<<15), Frame{17, 1 << 15, map[int][]byte{1: Numbers(ids...)}}, Frame{18, 1 << 15, map[int][]byte{1: Numbers(ids...)}},
			Frame{19, 1 << 15, map[int][]byte{1: Numbers(ids...)}}),
		"one list":      File(Origin(), Regions(1), Frame{10, 1, map[int][]byte{1: append(Numbers(int64(len(many))), Numbers(many...)...)}}),
		"inlined":       File(Origin(), Regions(1), inlined, Frame{10, 1 << 10, map[int][]byte{1: Repeat(1<<10, append([]int64{64, 7}, many[:63]...)...)}}),
		"long names":    File(Origin(), Frame{3, 1, map[int][]byte{1: Numbers(0), 2: Texts(long), 4: Numbers(4096), 5: Numbers(1 << 20)}}, Frame{8, 1, map[int][]byte{1: Texts(long)}}),
		"a run":         File(Origin(), Regions(1), Frame{6, 1, map[int][]byte{3: Numbers(1 << 40)}}),
		"wide runs":     File(Origin(), Regions(1), Frame{6, 1 << 12, map[int][]byte{2: Repeat(1<<12, 1<<30), 3: Repeat(1<<12, 1<<28)}}),
		"far histogram": File(Origin(), Regions(1<<12), Frame{5, 1 << 13, map[int][]byte{1: append(Repeat(1, ids[:1<<12]...), Repeat(1, ids[:1<<12]...)...), 3: Repeat(1<<12, 1<<60, -1<<60), 4: Repeat(1<<13, 1)}}),
		"times": File(Origin(), Regions(1), Frame{15, 4, map[int][]byte{2: Numbers(1<<62, 1<<62, -1<<63, 5), 3: Numbers(1<<62, 1, -5, 0), 5: Numbers(1<<62, 1<<62, -1, 0), 11: Numbers(1, 1, 1, 1)}},
			Frame{14, 2, map[int][]byte{4: Numbers(1, 1), 8: Numbers(1<<62, 1<<62), 9: Numbers(1<<62, -1<<62)}}),
		"requests": File(Origin(), Regions(1), Frame{14, rowsMost, map[int][]byte{4: Repeat(rowsMost, 1), 9: Repeat(rowsMost, 1)}}),
	}
	for _, t := range Tables {
		shapes["rows of table "+string('0'+t/10)+string('0'+t%10)] = Rows(t, 1)
		shapes["more rows of table "+string('0'+t/10)+string('0'+t%10)] = Rows(t, 24)
	}
	return shapes
}

// Names are texts that are more than text to a terminal, or none at all.
var Names = []string{
	"\x1b[2J\x1b]0;owned\x07", "two\nlines", "back\rwards", "\u202eright to left\u202c", "\u2066isolate", "zero\u200bwidth", "\u009b31mC1", "no\xffUTF-8\xc3",
	"\x00nul", "del\x7f", "\u2028line", "tab\tbed", "<script>alert(1)</script>", "\U000e0041tag", "\xed\xa0\x80surrogate",
}

// Named is a recording in which every text is name.
func Named(name string) []byte {
	id := func(n int) []byte { return append(binary.AppendUvarint(nil, uint64(n)), bytes.Repeat([]byte{7}, n)...) }
	return File(
		Frame{1, 1, map[int][]byte{1: Texts(name), 2: Texts(name), 3: Texts(name), 5: Texts(name), 6: Numbers(1e18), 7: Texts(name), 8: Texts(name), 9: Numbers(1e18), 10: Numbers(1e18 + 1e9), 12: Numbers(1e9)}},
		Frame{2, 1, map[int][]byte{1: Numbers(1), 2: Numbers(99), 4: Texts(name), 5: Texts(name)}},
		Frame{3, 1, map[int][]byte{1: Numbers(0), 2: Texts(name), 3: Numbers(2), 4: Numbers(4096), 5: Numbers(1 << 20), 6: Numbers(1 << 20), 7: Numbers(4096), 8: Numbers(2), 11: Numbers(100), 12: Numbers(50), 18: Texts(name)}},
		Frame{4, 1, map[int][]byte{2: Numbers(4096), 3: Numbers(1 << 20)}},
		Frame{5, 1, map[int][]byte{3: Numbers(50), 4: Numbers(2)}},
		Frame{6, 1, map[int][]byte{3: Numbers(1)}},
		Frame{7, 1, map[int][]byte{1: Numbers(2), 2: Numbers(2), 3: Numbers(2), 6: Numbers(2), 13: Texts(name), 14: Texts(name), 15: Texts(name), 17: Texts(name), 18: Texts(name), 19: Texts(name), 26: Texts(name)}},
		Frame{8, 1, map[int][]byte{1: Texts(name)}},
		Frame{20, 1, map[int][]byte{3: Texts(name), 4: Texts(name), 5: Texts(name), 6: Numbers(1)}},
		Frame{9, 2, map[int][]byte{1: Numbers(8, 1), 2: Numbers(7, 1), 3: Numbers(6, 0), 4: Texts(name, name), 5: Texts(name, name), 6: Numbers(1, 2)}},
		Frame{10, 1, map[int][]byte{1: Numbers(2, 7, 2)}},
		Frame{11, 1, map[int][]byte{2: Numbers(1), 5: Numbers(2), 6: Numbers(4096), 7: Numbers(100), 8: Numbers(50)}},
		Frame{12, 1, map[int][]byte{1: Numbers(5), 2: Numbers(2), 3: Numbers(100)}},
		Frame{13, 1, map[int][]byte{1: Numbers(1), 2: id(16), 3: id(8), 4: Numbers(2), 5: Numbers(100), 6: Numbers(50), 7: Numbers(4096)}},
		Frame{17, 1, map[int][]byte{3: Numbers(1e9), 5: Numbers(4096), 9: Numbers(1 << 20)}},
		Frame{17, 1, map[int][]byte{2: Numbers(1e9), 3: Numbers(2e9), 4: Texts(name)}},
		Frame{14, 1, map[int][]byte{1: id(16), 2: id(8), 4: Numbers(1), 5: Numbers(2), 6: Texts(name), 7: Texts(name), 9: Numbers(1e6), 11: Numbers(2), 12: Numbers(4096), 13: Numbers(100), 14: Numbers(50), 15: Numbers(2), 16: Numbers(4096), 17: Numbers(100), 18: Numbers(50)}},
		Frame{15, 2, map[int][]byte{1: Numbers(1, 1), 2: Numbers(1000, 1), 5: Numbers(50, 50), 7: Numbers(1, 0), 8: Numbers(5, 0), 10: Numbers(1, 0), 11: Numbers(1, 1)}},
	)
}
