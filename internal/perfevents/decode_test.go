package perfevents

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
)

// record makes one of a type and words.
func record(kind uint32, words ...uint64) []byte {
	b := binary.NativeEndian.AppendUint32(nil, kind)
	b = binary.NativeEndian.AppendUint16(b, 0)
	b = binary.NativeEndian.AppendUint16(b, uint16(headerLen+8*len(words)))
	for _, w := range words {
		b = binary.NativeEndian.AppendUint64(b, w)
	}
	return b
}

// pair32 is two numbers of four bytes as a word.
func pair32(a, b uint32) uint64 {
	return binary.NativeEndian.Uint64(binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, a), b))
}

const (
	theBegin, theMajor, theMinor, another = 11, 12, 13, 21
	self                                  = 100
)

func testDecoder() *decoder {
	return &decoder{kinds: map[uint64]kind{theBegin: begin, theMajor: major, theMinor: minor, another: begin, another + 1: major}, regs: 2}
}

// beginAt is the record of a begin; the other kinds' are its first five words.
func beginAt(id uint64, tid uint32, time, address, ip uint64) []byte {
	return beginOf(0xc000, id, tid, time, address, ip)
}

// beginOf is that of another goroutine.
func beginOf(g, id uint64, tid uint32, time, address, ip uint64) []byte {
	return record(recordSample, id, ip, pair32(self, tid), time, address,
		4, context+3584 /* PERF_CONTEXT_USER */, ip, 0x111, 0x222, 2, 0x7f00, g, 8, 0x333, 8)
}

func endAt(id uint64, tid uint32, time, address, ip uint64) []byte {
	return record(recordSample, id, ip, pair32(self, tid), time, address)
}

func TestDecode(t *testing.T) {
	d := testDecoder()
	r, chain, ok := d.decode(beginAt(theBegin, 7, 5000, 0x1234, 0x40), nil)
	want := rawRecord{kind: begin, id: theBegin, pid: self, tid: 7, time: 5000, address: 0x1234, ip: 0x40, regs: [3]uint64{0x7f00, 0xc000}, word: 0x333, stack: []uintptr{0x40, 0x111, 0x222}}
	if !ok || !reflect.DeepEqual(r, want) || len(chain) != 3 {
		t.Errorf("%v %+v", ok, r)
	}
	// A kernel thread's, or of one that has no registers any more.
	r, _, ok = d.decode(record(recordSample, theBegin, 0x40, pair32(self, 7), 1, 2, 0, 0, 0), nil)
	if !ok || r.regs != [3]uint64{} || len(r.stack) > 0 {
		t.Errorf("%v %+v", ok, r)
	}
	if r, _, ok := d.decode(record(recordLost, 1, 42), nil); !ok || r.lost != 42 {
		t.Errorf("%v %+v", ok, r)
	}
	if _, _, ok := d.decode(endAt(99, 7, 1, 2, 3), nil); ok {
		t.Error("an event that is not ours")
	}
	m := record(recordMmap2, pair32(self, 7), 0x10000, 0x3000, 0x2000, pair32(8, 1), 77, 0, pair32(3, mapShared))
	m = append(append(m, "/a/file\x00"...), record(0, pair32(self, 7), 900, theBegin)[headerLen:]...)
	r, _, ok = d.decode(m, nil)
	if !ok || *r.mapped != (Mapped{Time: 900, Lo: 0x10000, Hi: 0x13000, Offset: 0x2000, Dev: 8<<32 | 1, Inode: 77, Prot: 3, Shared: true, Path: "/a/file"}) {
		t.Errorf("%v %+v", ok, r.mapped)
	}
}

// FuzzDecode: no record, however broken, does harm.
func FuzzDecode(f *testing.F) {
	f.Add(beginAt(theBegin, 7, 5000, 0x1234, 0x40))
	f.Add(endAt(theMajor, 7, 5000, 0x1234, 0x40))
	f.Add(record(recordLost, 1, 42))
	f.Add(record(recordMmap2, make([]uint64, 13)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := testDecoder()
		r, chain, _ := d.decode(b, nil)
		if len(chain)*8 > len(b) || len(r.stack) > len(chain) {
			t.Errorf("%d entries of a chain from %d bytes", len(chain), len(b))
		}
		var p pairer
		p.pair(&r)
		p.pair(&r)
	})
}

// FuzzRing: the reader ends, and gives all of it back, whatever is in the buffer.
func FuzzRing(f *testing.F) {
	f.Add(endAt(theMajor, 7, 5000, 0x1234, 0x40), uint64(48), uint64(0))
	f.Add(bytes.Repeat([]byte{8, 0}, 64), uint64(128), uint64(64))
	f.Fuzz(func(t *testing.T, b []byte, head, tail uint64) {
		data := make([]byte, 256)
		copy(data, b)
		r := ring{head: &head, tail: &tail, data: data}
		read := 0
		r.read(func(record []byte) { read += len(record) })
		if read > len(data) || tail != head {
			t.Errorf("%d bytes of %d were read; head %d, tail %d", read, len(data), head, tail)
		}
	})
}

// TestRing: one writes, as the kernel does, while the other one reads: every record comes whole and in its order.
func TestRing(t *testing.T) {
	const size, records = 1 << 10, 5_000
	var head, tail uint64
	r := ring{head: &head, tail: &tail, data: make([]byte, size)}
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range uint64(records) {
			words := make([]uint64, 1+i%7)
			for k := range words {
				words[k] = i
			}
			b := record(recordSample, words...)
			at := atomic.LoadUint64(&head)
			for at+uint64(len(b))-atomic.LoadUint64(&tail) > size {
			}
			for k := range b {
				r.data[(at+uint64(k))%size] = b[k]
			}
			atomic.StoreUint64(&head, at+uint64(len(b)))
		}
	})
	for next := uint64(0); next < records; {
		if !r.read(func(b []byte) {
			if want := headerLen + 8*int(1+next%7); len(b) != want {
				t.Fatalf("record %d: %d bytes, want %d", next, len(b), want)
			}
			for at := headerLen; at < len(b); at += 8 {
				if got := binary.NativeEndian.Uint64(b[at:]); got != next {
					t.Fatalf("record %d: %d", next, got)
				}
			}
			next++
		}) {
			t.Fatal("the buffer makes no sense")
		}
	}
	writer.Wait()
}

// TestPair: the cases of a fault, from records as the kernel writes them.
func TestPair(t *testing.T) {
	const page = 4096
	type at struct {
		time, end int64
		kind      Kind
		known     Known
		thread    uint32
	}
	for _, c := range []struct {
		name    string
		records [][]byte
		want    []at
	}{
		{"a fault of each kind", [][]byte{
			beginAt(theBegin, 7, 100, page+5, 1), endAt(theMajor, 7, 900, page+5, 1), beginAt(theBegin, 7, 1000, 2*page, 1), endAt(theMinor, 7, 1100, 2*page, 1),
		}, []at{{100, 900, Major, Measured, 7}, {1000, 1100, Minor, Measured, 7}}},
		{"two threads at the same page", [][]byte{
			beginAt(theBegin, 7, 100, page, 1), beginOf(0xd000, theBegin, 8, 110, page, 1), endAt(theMajor, 8, 900, page, 1), endAt(theMajor, 7, 901, page, 1),
		}, []at{{110, 900, Major, Measured, 8}, {100, 901, Major, Measured, 7}}},
		{"interrupted by a signal, and made again", [][]byte{
			beginAt(theBegin, 7, 100, page, 1), beginAt(theBegin, 7, 50_000, page, 1), endAt(theMinor, 7, 50_100, page, 1),
		}, []at{{100, 50_100, Minor, AtMost, 7}}},
		{"interrupted, other faults, and made again by another thread", [][]byte{
			beginAt(theBegin, 7, 100, page, 1), beginAt(theBegin, 7, 200, 9*page, 2), endAt(theMinor, 7, 300, 9*page, 2),
			beginAt(theBegin, 8, 400, page, 1), endAt(theMinor, 8, 500, page, 1),
		}, []at{{200, 300, Minor, Measured, 7}, {100, 500, Minor, AtMost, 8}}},
		{"interrupted, and made again by another thread, while the first one makes no fault", [][]byte{
			beginAt(theBegin, 7, 100, page, 1), beginAt(theBegin, 8, 400, page, 1), endAt(theMinor, 8, 500, page, 1),
			beginAt(theBegin, 7, 600, 9*page, 1), endAt(theMinor, 7, 700, 9*page, 1),
		}, []at{{100, 500, Minor, AtMost, 8}, {600, 700, Minor, Measured, 7}}},
		{"interrupted, and made again by another thread after other faults, while the first one makes none", [][]byte{
			beginAt(theBegin, 7, 100, page, 1), beginAt(theBegin, 8, 400, 7*page, 2), endAt(theMinor, 8, 450, 7*page, 2),
			beginAt(theBegin, 8, 460, page, 1), endAt(theMinor, 8, 500, page, 1),
		}, []at{{400, 450, Minor, Measured, 8}, {100, 500, Minor, AtMost, 8}}},
		{"two threads of C with the same in the register", [][]byte{
			beginAt(theBegin, 7, 100, page, 1), beginAt(theBegin, 8, 400, 7*page, 2), endAt(theMinor, 8, 450, 7*page, 2), endAt(theMajor, 7, 500, page, 1),
		}, []at{{400, 450, Minor, Measured, 8}, {100, 500, Major, Measured, 7}}},
		{"an error in between is another fault's", [][]byte{
			beginAt(theBegin, 7, 100, 0, 1), beginAt(theBegin, 7, 200, page, 2), endAt(theMinor, 7, 300, page, 2),
		}, []at{{200, 300, Minor, Measured, 7}}},
		{"its begin was lost", [][]byte{endAt(theMajor, 7, 300, page, 2)}, []at{{300, 300, Major, Unmeasured, 7}}},
		{"the begin is another page's", [][]byte{
			beginAt(theBegin, 7, 100, page, 1), endAt(theMajor, 7, 300, 5*page, 2),
		}, []at{{300, 300, Major, Unmeasured, 7}}},
		{"observed twice", [][]byte{
			beginAt(theBegin, 7, 100, page, 1), beginAt(another, 7, 101, page, 1), endAt(theMajor, 7, 300, page, 1), endAt(another+1, 7, 301, page, 1),
			beginAt(theBegin, 7, 400, page, 1), endAt(theMajor, 7, 500, page, 1),
		}, []at{{100, 300, Major, Measured, 7}, {400, 500, Major, Measured, 7}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, p := testDecoder(), pairer{}
			var got []at
			for _, b := range c.records {
				r, _, ok := d.decode(b, nil)
				if !ok {
					t.Fatalf("%x", b)
				}
				if f, ok := p.pair(&r); ok {
					got = append(got, at{f.Time, f.End, f.Kind, f.Known, f.Thread})
				}
			}
			if left := p.interrupted(2 * forgotten); len(p.open) != 0 || len(p.of) != 0 || len(left) > 1 || len(left) == 1 && left[0].Address != 0 {
				t.Errorf("left: %d open, %d by g, %+v", len(p.open), len(p.of), left)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// TestInterrupted: what a signal has interrupted, and nobody makes again, comes when there was time enough to do so.
func TestInterrupted(t *testing.T) {
	d, p := testDecoder(), pairer{}
	for _, b := range [][]byte{beginAt(theBegin, 7, 100, 4096, 1), beginAt(theBegin, 7, 200, 2*4096, 2), endAt(theMinor, 7, 300, 2*4096, 2)} {
		r, _, _ := d.decode(b, nil)
		p.pair(&r)
	}
	if _, n := p.waiting(300, 0, func(uintptr) bool { return true }); n != 1 {
		t.Errorf("%d interrupted, want 1", n)
	}
	if list := p.interrupted(forgotten); len(list) != 0 {
		t.Errorf("too early: %+v", list)
	}
	list := p.interrupted(forgotten + 100)
	if len(list) != 1 || list[0].Kind != Interrupted || list[0].Address != 4096 || list[0].Known != Unmeasured || len(list[0].Stack) != 3 {
		t.Errorf("%+v", list)
	}
}
