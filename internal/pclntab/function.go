package pclntab

import (
	"encoding/binary"
	"math"
)

// functabEntry is the size of runtime.functab: the offsets of a function's entry and of its
// record, the first counted from the start of the text, the second from functab itself.
const functabEntry = 8

// Fields of runtime._func (runtime/runtime2.go).
const (
	recEntry    = 0
	recName     = 4
	recPCSP     = 16
	recPCData   = 28 // number of further offsets behind the record
	recFlag     = 41
	recFuncData = 43 // the same; a byte
	recSize     = 44
)

// flagSPWrite (FuncFlagSPWrite, internal/abi/symtab.go) marks functions that give SP a value
// which the pcsp table cannot describe, such as one aligned at run time.
const flagSPWrite = 2

// flagAsm (FuncFlagAsm, the same file) marks functions written in assembly, and not the adapter through which Go code
// calls one of them, which has its name too.
const flagAsm = 4

// function is one function's record. Offsets count from the start of the text; end is the next
// function's entry, so that padding lies between a function's last instruction and end.
type function struct {
	entry, end uint32
	rec        []byte
}

func (t *Table) entry(i int) uint32 {
	return binary.NativeEndian.Uint32(t.funcs[i*functabEntry:])
}

func (t *Table) recordOffset(i int) uint64 {
	return uint64(binary.NativeEndian.Uint32(t.funcs[i*functabEntry+4:]))
}

// function returns the i'th function; not ok where its record lies outside of the table.
func (t *Table) function(i int) (f function, ok bool) {
	off := t.recordOffset(i)
	if off+recSize > uint64(len(t.funcs)) {
		return function{}, false
	}
	return function{entry: t.entry(i), end: t.entry(i + 1), rec: t.funcs[off : off+recSize]}, true
}

// find returns the function that pc lies in, or whose padding it lies in, and pc's distance from
// that function's entry.
func (t *Table) find(pc uintptr) (f function, dist uint32, ok bool) {
	if pc < t.text || uint64(pc-t.text) > math.MaxUint32 {
		return function{}, 0, false
	}
	off := uint32(pc - t.text)
	lo, hi := 0, t.nfunc // entry(lo) <= off < entry(hi)
	if off < t.entry(lo) || off >= t.entry(hi) {
		return function{}, 0, false
	}
	for hi-lo > 1 {
		mid := int(uint(lo+hi) / 2)
		if t.entry(mid) <= off {
			lo = mid
		} else {
			hi = mid
		}
	}
	f, ok = t.function(lo)
	return f, off - f.entry, ok
}

// named reports whether the function is called name.
func (t *Table) named(f function, name string) bool {
	off := uint64(binary.NativeEndian.Uint32(f.rec[recName:]))
	end := off + uint64(len(name))
	return end < uint64(len(t.names)) && t.names[end] == 0 && string(t.names[off:end]) == name
}

// size is the length of the record with the offsets behind it, and of the gap before the next.
func (f function) size() uint64 {
	n := uint64(binary.NativeEndian.Uint32(f.rec[recPCData:])) + uint64(f.rec[recFuncData])
	return (recSize + 4*n + ptrSize - 1) &^ (ptrSize - 1)
}

func (f function) spWrite() bool { return f.rec[recFlag]&flagSPWrite != 0 }

// steps starts at the first entry of the function's pcsp table. Functions that no Go tool
// compiled (C, linker stubs) have none.
func (t *Table) steps(f function) (s steps, ok bool) {
	off := uint64(binary.NativeEndian.Uint32(f.rec[recPCSP:]))
	if off == 0 || off >= uint64(len(t.pctab)) {
		return steps{}, false
	}
	return steps{tab: t.pctab[off:], quantum: t.quantum, value: -1}, true
}
