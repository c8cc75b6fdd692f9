package pclntab

import (
	"bytes"
	"runtime"
)

// Table is a program's function table. It is read-only and safe for concurrent use. Its methods
// allocate nothing and take no locks, but read pages of the executable and may therefore wait for
// the disk: they are for folding records, not for a signal handler or a resolver.
type Table struct {
	quantum uint64 // bytes between possible instruction addresses
	nfunc   int
	names   []byte
	pctab   []byte
	funcs   []byte
	text    uintptr // the run-time address that offsets of functions count from
	runtime int     // a function of package runtime, by its number
}

// RuntimeAssembly returns the address of a function of package runtime that is written in assembly, by its full name.
// ok is false where there is none, or where the runtime has another name for that address. The linker refuses to tell the
// address of most of them since Go 1.27. The search begins in the package, whose functions lie together.
func (t *Table) RuntimeAssembly(name string) (entry uintptr, ok bool) {
	entry, _, ok = t.inRuntime(name, flagAsm)
	return entry, ok
}

// RuntimeFunction returns where a function of package runtime that is written in Go lies, by its full name, in the same way.
func (t *Table) RuntimeFunction(name string) (lo, hi uintptr, ok bool) {
	return t.inRuntime(name, 0)
}

// runtimeReach is how many functions in each direction are looked at: the package has some four thousand, and a large program
// a hundred times as many, which would take ten milliseconds where a name is missing.
const runtimeReach = 1 << 14

func (t *Table) inRuntime(name string, flag byte) (lo, hi uintptr, ok bool) {
	for n := range runtimeReach {
		for _, i := range [2]int{t.runtime - n, t.runtime + 1 + n} {
			if i < 0 || i >= t.nfunc {
				continue
			}
			f, ok := t.function(i)
			if !ok || f.rec[recFlag]&flagAsm != flag || !t.named(f, name) {
				continue
			}
			lo, hi = t.text+uintptr(f.entry), t.text+uintptr(f.end)
			rf := runtime.FuncForPC(lo)
			return lo, hi, rf != nil && rf.Entry() == lo && rf.Name() == name
		}
	}
	return 0, 0, false
}

// HasName reports whether there is a function of that full name, or one that was inlined everywhere. It looks through all
// names where there is none.
func (t *Table) HasName(name string) bool {
	whole := append([]byte(name), 0)
	return bytes.HasPrefix(t.names, whole) || bytes.Contains(t.names, append([]byte{0}, whole...))
}

// SPDelta returns the number of bytes by which SP at pc, the address of an instruction not yet
// executed, lies below SP at its function's entry. At 0 the function has no frame there, and its
// return address is the word at SP on amd64 and the link register on arm64. Above 0 it is the
// word at SP plus the delta on amd64, and the word at SP on arm64.
//
// ok is false where the table cannot tell: pc is in no Go function of the executable, or is in
// one that sets SP by itself and has perhaps already done so.
func (t *Table) SPDelta(pc uintptr) (delta int32, ok bool) {
	f, dist, ok := t.find(pc)
	if !ok || f.spWrite() && dist != 0 {
		return 0, false
	}
	s, ok := t.steps(f)
	if !ok {
		return 0, false
	}
	return s.at(dist)
}

// HasFrame reports whether the function that begins at pc has a frame anywhere in it, as one that calls another has.
func (t *Table) HasFrame(pc uintptr) bool {
	f, _, ok := t.find(pc)
	if !ok {
		return false
	}
	s, ok := t.steps(f)
	for ok && s.next() {
		if s.value != 0 {
			return true
		}
	}
	return false
}

// IsReturnAddress reports whether a call may return to pc: it lies between the instructions of a
// Go function of the executable, not at its entry and not in the padding behind it. It tells a
// return address from data, not from another address of code.
func (t *Table) IsReturnAddress(pc uintptr) bool {
	f, dist, ok := t.find(pc)
	if !ok || dist == 0 || uint64(dist)%t.quantum != 0 {
		return false
	}
	s, ok := t.steps(f)
	if !ok {
		return false
	}
	_, ok = s.at(dist)
	return ok
}
