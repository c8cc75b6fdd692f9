package profiler

import (
	"runtime"
	"slices"
	"unsafe"
)

// stackTable numbers distinct stacks. It only grows, so a copy of its header is immutable.
type stackTable struct {
	pcs   [][]uintptr // StackID-1
	known map[string]StackID
	code  map[uintptr][]runtime.Frame // nil: the code is that of this process
}

// add returns the number of a stack. It keeps no reference to pcs.
func (t *stackTable) add(pcs []uintptr) StackID {
	if len(pcs) == 0 {
		return 0
	}
	if id, ok := t.known[keyOf(pcs)]; ok {
		return id
	}
	if t.known == nil {
		t.known = make(map[string]StackID)
	}
	own := slices.Clone(pcs)
	t.pcs = append(t.pcs, own)
	id := StackID(len(t.pcs))
	t.known[keyOf(own)] = id // which never changes
	return id
}

// has reports whether a stack has a number.
func (t *stackTable) has(pcs []uintptr) bool {
	_, ok := t.known[keyOf(pcs)]
	return ok
}

// keyOf is the bytes of a stack, where they are.
func keyOf(pcs []uintptr) string {
	return unsafe.String((*byte)(unsafe.Pointer(unsafe.SliceData(pcs))), len(pcs)*int(unsafe.Sizeof(pcs[0])))
}

// freeze returns what the table holds now.
func (t *stackTable) freeze() *stackTable {
	return &stackTable{pcs: t.pcs[:len(t.pcs):len(t.pcs)]}
}

func (t *stackTable) get(id StackID) []uintptr {
	if t == nil || id == 0 || int(id) > len(t.pcs) {
		return nil
	}
	return t.pcs[id-1]
}

// frames expands a stack.
func (t *stackTable) frames(id StackID) (out []runtime.Frame) {
	for i, pc := range t.get(id) {
		if i == 0 {
			pc++ // the faulting instruction itself; the others are return addresses
		}
		out = append(out, t.framesAt(pc)...)
	}
	return out
}

// framesAt names an instruction by the address behind it. The second address, of nothing, makes the
// runtime expand the inlined calls of the first: of the last address that it is given it names the
// innermost call only.
func (t *stackTable) framesAt(after uintptr) (out []runtime.Frame) {
	if t != nil && t.code != nil {
		return t.code[after]
	}
	it := runtime.CallersFrames([]uintptr{after, 0})
	for {
		f, more := it.Next()
		if f.PC != 0 {
			out = append(out, f)
		}
		if !more {
			return out
		}
	}
}
