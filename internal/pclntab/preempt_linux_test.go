//go:build amd64 || arm64

package pclntab

import (
	"math"
	"runtime"
	"testing"
	"time"
)

// TestSelfRuntimeAssembly: a preemption is recognised by the address of asyncPreempt, which the linker tells nobody.
func TestSelfRuntimeAssembly(t *testing.T) {
	tab := mustSelf(t)
	for _, name := range []string{"runtime.asyncPreempt", "runtime.memmove", "runtime.goexit"} {
		entry, ok := tab.RuntimeAssembly(name)
		if f := runtime.FuncForPC(entry); !ok || f == nil || f.Name() != name || f.Entry() != entry {
			t.Errorf("%s at %#x (found: %t), where the runtime has %v", name, entry, ok, f)
		}
	}
	// Written in Go, of another package, of this package and not of the runtime's, and of nobody.
	for _, name := range []string{"runtime.GC", "time.Now", "pclntab.parse", "runtime.asyncPreempt3", ""} {
		if entry, ok := tab.RuntimeAssembly(name); ok {
			t.Errorf("%q was found at %#x", name, entry)
		}
	}
	best := time.Duration(math.MaxInt64)
	for range 10 {
		began := time.Now()
		tab.RuntimeAssembly("runtime.asyncPreempt")
		best = min(best, time.Since(began))
	}
	t.Logf("the best of ten searches among %d functions took %v", tab.nfunc, best)
}

// Where a name is missing, a program of any size is searched no further than the runtime can reach.
func TestRuntimeAssemblyIsNear(t *testing.T) {
	const n, own = 3 * runtimeReach, runtimeReach
	for _, c := range []struct {
		at    int
		found bool
	}{{0, false}, {1, true}, {own, true}, {own + 1, true}, {own + runtimeReach, true}, {own + runtimeReach + 1, false}, {n - 1, false}} {
		funcs := make([]testFunc, n)
		for i := range funcs {
			funcs[i] = testFunc{name: "f", off: uint32(16 * i), flag: flagAsm}
		}
		funcs[c.at].name = "runtime.asyncPreempt"
		tab, err := parse(build(knownMagic, 1, funcs, 16*n))
		if err != nil {
			t.Fatal(err)
		}
		tab.text, tab.runtime = testText, own
		entry, ok := tab.RuntimeAssembly("runtime.asyncPreempt")
		if ok {
			t.Errorf("function %d is taken for the runtime's, which knows nothing there", c.at)
		}
		if found := entry == uintptr(testText+16*c.at); found != c.found {
			t.Errorf("function %d: found %t at %#x, want %t", c.at, found, entry, c.found)
		}
	}
}
