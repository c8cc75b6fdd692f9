//go:build linux && (amd64 || arm64)

package engine

import (
	"math/bits"
	"reflect"
	"runtime"
	"slices"
	"sync"

	"github.com/firsttouch/firsttouch/internal/pclntab"
	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/internal/stacktab"
)

// GoRuntime is what the engine knows of the insides of the Go runtime that it runs in. None of it is promised by Go, so
// all of it is measured in this process, and what could not be is 0 or false: then the engine knows less, and is exact
// about the rest. docs/go-runtime.md has the whole list.
type GoRuntime struct {
	TextLo, TextHi  uintptr                // Go's code
	Preempt         uintptr                // where runtime.asyncPreempt begins
	Goid, Parent    uintptr                // where in a g its id is, and that of the goroutine that started it
	Machine, Thread uintptr                // where in a g its m is, and in that m the thread's id; used with delivery by signal
	TLS             uintptr                // how far below its base a thread keeps its g, on amd64; else it is asked by signal
	Dying           [len(dying)][2]uintptr // where the functions of dying lie
	Counted         bool                   // the engine's functions call others wherever they begin, to count coverage: see uncounted
	Frames          bool                   // a g begins with the bounds of its stack, and frame pointers lead through it
}

// asyncPreempt is what the runtime makes a goroutine seem to have called where a signal preempts it.
const asyncPreempt = "runtime.asyncPreempt"

// MeasureGoRuntime measures what an engine needs, with delivery by signal or without. table may be nil.
func MeasureGoRuntime(table *pclntab.Table, signals bool) GoRuntime {
	m := measured()
	if table != nil {
		m.Preempt, _ = table.RuntimeAssembly(asyncPreempt)
		for i, name := range dying {
			if lo, hi, ok := table.RuntimeFunction(name); ok {
				m.Dying[i] = [2]uintptr{lo, hi}
			}
		}
	}
	m.Counted = table != nil && table.HasFrame(codeOf(uncounted))
	if signals {
		m.Machine, m.Thread = threadOffsets()
	}
	return m
}

var measured = sync.OnceValue(func() (m GoRuntime) {
	m.TextLo, m.TextHi = textBounds(reflect.ValueOf(textBounds).Pointer(), func(pc uintptr) bool { return runtime.FuncForPC(pc) != nil })
	m.Goid, m.Parent = goidOffsets()
	m.TLS = tlsOffset()
	m.Frames = framesLead()
	return m
})

// textStep is less than what lies between the code of two modules: the data of one of them.
const textStep = 64 << 10

// textBounds finds the bounds of the code that pc is in, from a question that is answered with yes for all of it. The
// runtime answers it of an executable, a library and a plugin; the linker, which knows too, tells only the runtime.
func textBounds(pc uintptr, inside func(uintptr) bool) (lo, hi uintptr) {
	if !inside(pc) {
		return 0, 0
	}
	bound := func(step uintptr) uintptr { // of the first address that is not inside, in that direction
		in := pc
		for inside(in + step) {
			in += step
		}
		for step != 1 && step != ^uintptr(0) {
			step = uintptr(int(step) / 2)
			if inside(in + step) {
				in += step
			}
		}
		return in
	}
	return bound(^uintptr(textStep - 1)), bound(textStep) + 1
}

// framesLead holds the bounds of the stack that a g begins with, and the walk along frame pointers, against what the
// runtime says of the same stack, on several goroutines and at several depths.
func framesLead() bool {
	for depth := range 4 {
		ok := make(chan bool)
		go func() { ok <- framesAtDepth(depth) }()
		if !<-ok {
			return false
		}
	}
	return true
}

//go:noinline
func framesAtDepth(depth int) bool {
	var room [512]byte
	if depth == 0 {
		ok := framesAgree()
		runtime.KeepAlive(room[:])
		return ok
	}
	return framesAtDepth(depth-1) && room[depth] == 0
}

// most of a stack that is compared.
const mostCompared = 16

//go:noinline
func framesAgree() bool {
	var pcs, entries [mostCompared]uintptr
	n := runtime.Callers(2, pcs[:]) // before the walk: the stack may grow in calls
	g, fp := raw.G(), raw.FramePointer()
	if !plausibleStack(*at[uintptr](g), *at[uintptr](g + 8), fp) {
		return false
	}
	walked := 0
	for f := (stacktab.Frame{FP: fp, Lo: fp, Hi: *at[uintptr](g + 8)}); walked < len(entries) && f.Next(); walked++ {
		entries[walked] = f.PC
	}
	return slices.Equal(entriesOf(entries[:walked]), entriesOf(pcs[:n]))
}

// The runtime takes stacks from 2 KiB on, in powers of two (runtime/stack.go). A goroutine that was started for this has
// a small one.
const (
	smallestStack = 2 << 10
	largestStack  = 1 << 20
)

func plausibleStack(lo, hi, sp uintptr) bool {
	return lo <= sp && sp < hi && hi-lo >= smallestStack && hi-lo <= largestStack && bits.OnesCount64(uint64(hi-lo)) == 1
}

// entriesOf returns the functions that return addresses lie in, those that were inlined left out.
func entriesOf(pcs []uintptr) (entries []uintptr) {
	for _, pc := range pcs {
		if f := runtime.FuncForPC(pc - 1); f != nil {
			entries = append(entries, f.Entry())
		}
	}
	return slices.Compact(entries)
}

// callsAsExpected reports whether Go enters functions in the way in which the assembly does: the address of the code is
// the first word of what a func value points to, the first four arguments are in the registers that the assembly takes,
// and so is the result. The function that tells does arithmetic only, so that it can do no harm otherwise.
func callsAsExpected() bool {
	return codeOf(mixArguments) == reflect.ValueOf(mixArguments).Pointer() && raw.Call4(codeOf(mixArguments), 2, 3, 5, 7) == mixArguments(2, 3, 5, 7)
}

//go:nosplit
//go:norace
//go:noinline
func mixArguments(a, b, c, d uintptr) uintptr { return ((a*31+b)*31+c)*31 + d } // nosplit: called through an address

// uncounted has no frame unless coverage is counted by calls, as with the race detector. Those need a g, and the engine's
// functions run without.
//
//go:nosplit
//go:norace
//go:noinline
func uncounted(uintptr) {} // nosplit: as those that it stands for
