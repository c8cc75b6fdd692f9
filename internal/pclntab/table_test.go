package pclntab

import (
	"encoding/binary"
	"errors"
	"testing"
)

// step is one pair of a pc-value table: value holds for run quanta.
type step struct {
	value int32
	run   uint32
}

type testFunc struct {
	name string
	off  uint32 // of the entry
	flag byte
	sp   []step
}

// build writes a table as cmd/link does. The functions end at end.
func build(magic uint32, quantum byte, funcs []testFunc, end uint32) []byte {
	ne := binary.NativeEndian
	names := []byte{}
	pctab := []byte{0} // offset 0 means "no table"
	functab := make([]byte, (len(funcs)*functabEntry+functabEntry/2+ptrSize-1)&^(ptrSize-1))
	for i, f := range funcs {
		ne.PutUint32(functab[i*functabEntry:], f.off)
		ne.PutUint32(functab[i*functabEntry+4:], uint32(len(functab)))
		rec := make([]byte, recSize, recSize+ptrSize)
		ne.PutUint32(rec[recEntry:], f.off)
		ne.PutUint32(rec[recName:], uint32(len(names)))
		names = append(append(names, f.name...), 0)
		rec[recFlag] = f.flag
		if f.sp != nil {
			ne.PutUint32(rec[recPCSP:], uint32(len(pctab)))
			pctab = appendSteps(pctab, f.sp)
		}
		for len(rec)%ptrSize != 0 {
			rec = append(rec, 0)
		}
		functab = append(functab, rec...)
	}
	ne.PutUint32(functab[len(funcs)*functabEntry:], end)

	b := make([]byte, hdrWords+hdrNumWords*ptrSize)
	ne.PutUint32(b, magic)
	b[hdrQuantum], b[hdrPtrSize] = quantum, ptrSize
	word := func(i int, v uint64) {
		if ptrSize == 8 {
			ne.PutUint64(b[hdrWords+i*ptrSize:], v)
		} else {
			ne.PutUint32(b[hdrWords+i*ptrSize:], uint32(v))
		}
	}
	word(wordFuncs, uint64(len(funcs)))
	word(wordNames, uint64(len(b)))
	b = append(b, names...)
	word(wordPCTab, uint64(len(b)))
	b = append(b, pctab...)
	for len(b)%ptrSize != 0 {
		b = append(b, 0)
	}
	word(wordFuncTab, uint64(len(b)))
	return append(b, functab...)
}

func appendSteps(b []byte, steps []step) []byte {
	last := int32(-1)
	for _, s := range steps {
		d := s.value - last
		last = s.value
		b = binary.AppendUvarint(b, uint64(uint32(d<<1)^uint32(d>>31)))
		b = binary.AppendUvarint(b, uint64(s.run))
	}
	return append(b, 0)
}

const (
	testText = 0x400000
	testEnd  = 0x500
)

func testFuncs() []testFunc {
	return []testFunc{
		{name: "leaf", off: 0, sp: []step{{0, 0x20}}},
		{name: "framed", off: 0x100, sp: []step{{0, 4}, {8, 3}, {0x90, 200 / 4}, {8, 1}, {0, 1}}},
		{name: "aligns", off: 0x200, flag: flagSPWrite, sp: []step{{0, 2}, {64, 10}, {0, 1}}},
		{name: "inC", off: 0x300},
		{name: "huge", off: 0x400, sp: []step{{0, 1}, {1 << 20, 0x20}, {0, 1}}},
	}
}

func TestSPDelta(t *testing.T) {
	for _, quantum := range []byte{1, 4} {
		tab, err := parse(build(knownMagic, quantum, testFuncs(), testEnd))
		if err != nil {
			t.Fatal(err)
		}
		tab.text = testText
		for _, c := range []struct {
			name  string
			pc    uintptr // function's offset, and quanta into it
			in    uintptr
			delta int32
			ok    bool
			ret   bool
		}{
			{"entry of a leaf", 0, 0, 0, true, false},
			{"middle of a leaf", 0, 0x10, 0, true, true},
			{"last instruction of a leaf", 0, 0x1f, 0, true, true},
			{"padding behind a leaf", 0, 0x20, 0, false, false},
			{"before the prologue", 0x100, 3, 0, true, true},
			{"in the prologue", 0x100, 4, 8, true, true},
			{"first of the body", 0x100, 7, 0x90, true, true},
			{"last of the body", 0x100, 56, 0x90, true, true},
			{"in the epilogue", 0x100, 57, 8, true, true},
			{"at the return", 0x100, 58, 0, true, true},
			{"entry of one that writes SP", 0x200, 0, 0, true, false},
			{"inside one that writes SP", 0x200, 1, 0, false, true},
			{"entry of a C function", 0x300, 0, 0, false, false},
			{"inside a C function", 0x300, 4, 0, false, false},
			{"frame of a MiB", 0x400, 0x20, 1 << 20, true, true},
			{"first behind the text", testEnd, 0, 0, false, false},
			{"far behind the text", 1 << 30, 0, 0, false, false},
		} {
			pc := testText + c.pc + c.in*uintptr(quantum)
			if delta, ok := tab.SPDelta(pc); delta != c.delta || ok != c.ok {
				t.Errorf("quantum %d, %s: SPDelta(%#x) = %d, %t, want %d, %t", quantum, c.name, pc, delta, ok, c.delta, c.ok)
			}
			if ret := tab.IsReturnAddress(pc); ret != c.ret {
				t.Errorf("quantum %d, %s: IsReturnAddress(%#x) = %t", quantum, c.name, pc, ret)
			}
		}
		for _, pc := range []uintptr{0, testText - 1, ^uintptr(0)} {
			if delta, ok := tab.SPDelta(pc); ok || tab.IsReturnAddress(pc) {
				t.Errorf("quantum %d: %#x is outside of the text: %d, %t", quantum, pc, delta, ok)
			}
		}
		if q := uintptr(quantum); q > 1 && tab.IsReturnAddress(testText+q+1) {
			t.Errorf("quantum %d: an address between two instructions is a return address", quantum)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := build(knownMagic, 1, testFuncs(), testEnd)
	for name, spoil := range map[string]func(b []byte) []byte{
		"nothing":              func(b []byte) []byte { return nil },
		"half a header":        func(b []byte) []byte { return b[:20] },
		"padding set":          func(b []byte) []byte { b[hdrPad] = 1; return b },
		"quantum of 3":         func(b []byte) []byte { b[hdrQuantum] = 3; return b },
		"another pointer size": func(b []byte) []byte { b[hdrPtrSize] = 16; return b },
		"no functions":         func(b []byte) []byte { clear(b[hdrWords : hdrWords+ptrSize]); return b },
		"more functions than bytes": func(b []byte) []byte {
			b[hdrWords+1] = 0xff
			return b
		},
		"names behind the end": func(b []byte) []byte {
			b[hdrWords+wordNames*ptrSize+ptrSize/2] = 0xff
			return b
		},
		"cut off in functab": func(b []byte) []byte {
			return b[:headerWord(b, wordFuncTab)+uint64(len(testFuncs()))*functabEntry]
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(spoil(append([]byte(nil), good...))); !errors.Is(err, ErrLayout) {
				t.Errorf("err = %v, want ErrLayout", err)
			}
		})
	}
	if _, err := parse(good); err != nil {
		t.Errorf("unspoilt: %v", err)
	}
}

func FuzzTable(f *testing.F) {
	f.Add(build(knownMagic, 1, testFuncs(), testEnd), uint32(0x107))
	f.Add(build(knownMagic, 4, testFuncs(), testEnd), uint32(0x408))
	f.Add(build(0xfffffff2, 2, testFuncs()[:1], 0x20), uint32(0))
	near, far := anchor{"leaf", testText}, anchor{"framed", testText + 0x100}
	f.Fuzz(func(t *testing.T, data []byte, off uint32) {
		tab, err := parse(data)
		if err != nil {
			if !errors.Is(err, ErrLayout) {
				t.Fatalf("err = %v, want ErrLayout", err)
			}
			return
		}
		// The runtime knows no function at these addresses.
		if err := tab.calibrate(near, far); !errors.Is(err, ErrLayout) {
			t.Fatalf("calibrate: %v, want ErrLayout", err)
		}
		tab.text = testText
		for _, pc := range []uintptr{testText, testText + uintptr(off), testText - 1} {
			delta, ok := tab.SPDelta(pc)
			if !ok && delta != 0 {
				t.Fatalf("SPDelta(%#x) = %d, false", pc, delta)
			}
			if _, _, inside := tab.find(pc); !inside && (ok || tab.IsReturnAddress(pc)) {
				t.Fatalf("%#x is in no function", pc)
			}
		}
	})
}
