//go:build linux && (amd64 || arm64)

package profiler

import (
	"testing"

	"github.com/firsttouch/firsttouch/internal/pclntab"
)

// The functions by which the garbage collector is known are those of this Go: where one was renamed, the
// table has to follow.
func TestCollectorsFunctionsExist(t *testing.T) {
	text, err := pclntab.Self()
	if err != nil {
		t.Fatal(err)
	}
	for name := range gcFunctions {
		if !text.HasName(name) {
			t.Errorf("%s is not in this binary", name)
		}
	}
}
