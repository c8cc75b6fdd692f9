//go:build linux && (amd64 || arm64)

package profiler

import (
	"runtime"
	"testing"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// The functions by which the garbage collector is known are those of this Go: where one was renamed, the
// table has to follow.
func TestCollectorsFunctionsExist(t *testing.T) {
	have := make(map[string]bool)
	lo, hi := raw.Text()
	for pc := lo; pc < hi; pc += 4 {
		if f := runtime.FuncForPC(pc); f != nil {
			have[outermost(f.Name())] = true
		}
	}
	for name := range gcFunctions {
		if !have[name] {
			t.Errorf("%s is not in this binary", name)
		}
	}
}
