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
