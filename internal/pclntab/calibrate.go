package pclntab

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"runtime"
)

// anchor is a function whose name and run-time address are both known.
type anchor struct {
	name string
	addr uintptr
}

func anchorOf(fn any) anchor {
	a := anchor{addr: reflect.ValueOf(fn).Pointer()}
	if f := runtime.FuncForPC(a.addr); f != nil {
		a.name = f.Name()
	}
	return a
}

// calibrate finds the address at which the text was loaded: the file does not have it where the
// executable is position-independent or an external linker put other code first. near is a function
// of package runtime that is looked up by name; far, which should be a long way off, must then be where the table says.
func (t *Table) calibrate(near, far anchor) error {
	err := fmt.Errorf("%w: no function called %q", ErrLayout, near.name)
	for i := range t.nfunc {
		// A name may be there twice: a function and the adapter for its calls from assembly.
		f, ok := t.function(i)
		if !ok || !t.named(f, near.name) || near.addr < uintptr(f.entry) {
			continue
		}
		t.text, t.runtime = near.addr-uintptr(f.entry), i
		if err = t.verify(far); err == nil {
			return nil
		}
	}
	t.text, t.runtime = 0, 0
	return err
}

// verifySamples is the number of functions, spread over the whole table, that are compared with
// the runtime's own view.
const verifySamples = 256

func (t *Table) verify(far anchor) error {
	f, dist, ok := t.find(far.addr)
	if !ok || dist != 0 || !t.named(f, far.name) {
		return fmt.Errorf("%w: %s is not at %#x with the text at %#x", ErrLayout, far.name, far.addr, t.text)
	}
	n := min(verifySamples, t.nfunc)
	for k := range n {
		if err := t.verifyFunction(k * (t.nfunc - 1) / max(n-1, 1)); err != nil {
			return err
		}
	}
	// All of that would also hold for deltas that are 0 throughout, and our caller has a frame.
	var pcs [1]uintptr
	runtime.Callers(2, pcs[:])
	if delta, ok := t.SPDelta(pcs[0]); !ok || delta <= 0 || !t.IsReturnAddress(pcs[0]) {
		return fmt.Errorf("%w: stack delta %d (found: %t) in a function that has a frame", ErrLayout, delta, ok)
	}
	return nil
}

// verifyFunction holds the i'th function against the runtime, and its pcsp table against what
// every such table has: it starts without a frame, moves by whole words, and ends with the
// function. Tables of files and of lines, its neighbours in the record, do not.
func (t *Table) verifyFunction(i int) error {
	f, ok := t.function(i)
	if !ok || f.end < f.entry || binary.NativeEndian.Uint32(f.rec[recEntry:]) != f.entry {
		return fmt.Errorf("%w: function %d has no record of its own", ErrLayout, i)
	}
	// Records lie back to back, so this checks that they have our size and fields.
	if i+1 < t.nfunc && t.recordOffset(i+1) != t.recordOffset(i)+f.size() {
		return fmt.Errorf("%w: the record of function %d is not %d bytes long", ErrLayout, i, f.size())
	}
	pc := t.text + uintptr(f.entry)
	if rf := runtime.FuncForPC(pc); rf == nil || rf.Entry() != pc {
		return fmt.Errorf("%w: the runtime knows no function at %#x", ErrLayout, pc)
	}
	s, ok := t.steps(f)
	if !ok {
		return nil
	}
	for first := true; s.next(); first = false {
		if first && s.value != 0 || s.value%ptrSize != 0 {
			return fmt.Errorf("%w: stack delta %d in function %d at %#x", ErrLayout, s.value, i, pc)
		}
	}
	if s.pc == 0 || s.pc > uint64(f.end-f.entry) {
		return fmt.Errorf("%w: stack deltas for %d bytes of function %d, which has %d", ErrLayout, s.pc, i, f.end-f.entry)
	}
	return nil
}
