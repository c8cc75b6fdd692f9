//go:build linux && (amd64 || arm64)

package profiler

import (
	"strings"
	"syscall"
	"unsafe"
)

// way is one way to touch a page. Its function must not look at other pages.
type way struct {
	name   string
	access Access
	system bool   // inside a system call, which user mode only does not serve
	leaf   string // the function with the faulting instruction, "" for the way's own
	below  int    // frames below the way's own
	touch  func(t *touch)
}

// touch is what a way is told: part of one page, and what to do it with.
type touch struct {
	part  []byte // of the page
	other []byte // as long as part, of the Go heap
	pipe  [2]int // read and write end; holds len(part) bytes for a way that reads
	err   error
}

var ways = []way{
	{"load", Read, false, "", 0, touchLoad},
	{"load of a leaf", Read, false, "", 1, touchLeaf},
	{"store", Write, false, "", 0, touchStore},
	{"copy out", Read, false, "runtime.memmove", 1, touchCopyOut},
	{"copy in", Write, false, "runtime.memmove", 1, touchCopyIn},
	{"clear", Write, false, "runtime.memclrNoHeapPointers", 1, touchClear},
	{"string equality", Read, false, equalLeaf, 1, touchEqual},
	{"string order", Read, false, "cmpbody", 1, touchLess},
	{"conversion", Read, false, "runtime.memmove", 2, touchConversion},
	{"index", Read, false, indexLeaf, 3, touchIndex},
	{"read(2)", Write, true, "", 0, touchRead2},
	{"write(2)", Read, true, "", 0, touchWrite2},
}

// sink keeps what was read from being optimised away.
var sink byte

//go:noinline
func touchLoad(t *touch) { sink = t.part[0] }

//go:noinline
func touchLeaf(t *touch) { sink = leaf(unsafe.SliceData(t.part)) }

// leaf has no frame of its own.
//
//go:noinline
//go:nosplit
func leaf(p *byte) byte { return *p }

//go:noinline
func touchStore(t *touch) { t.part[0] = 'x' }

//go:noinline
func touchCopyOut(t *touch) { copy(t.other, t.part) }

//go:noinline
func touchCopyIn(t *touch) { copy(t.part, t.other) }

//go:noinline
func touchClear(t *touch) { clear(t.part) }

//go:noinline
func touchEqual(t *touch) {
	if text(t.part) == text(t.other) {
		sink++
	}
}

//go:noinline
func touchLess(t *touch) {
	if text(t.part) < text(t.other) {
		sink++
	}
}

//go:noinline
func touchConversion(t *touch) { sink = string(t.part)[len(t.part)/2] }

//go:noinline
func touchIndex(t *touch) { sink = byte(strings.IndexByte(text(t.part), 0xff)) }

//go:noinline
func touchRead2(t *touch) { _, t.err = syscall.Read(t.pipe[0], t.part) }

//go:noinline
func touchWrite2(t *touch) { _, t.err = syscall.Write(t.pipe[1], t.part) }

// text is b as a string, without a copy.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
