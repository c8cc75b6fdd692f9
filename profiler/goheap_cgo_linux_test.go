//go:build linux && (amd64 || arm64)

package profiler

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// Threads of C read and write memory of Go, and call back, while the heap is armed.
func TestGoHeapWithC(t *testing.T) {
	p := newProfiler(t)
	closeBusy(t, attachHeap(t, p).Close) // or skip
	closeBusy(t, p.Close)                // others run beside
	aside(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*testproc.Budget(hangBudget)) // most of it to build
	defer cancel()
	bin := buildCProgram(ctx, t, "cgoheap")
	for _, env := range []string{"GOGC=1", "GOMAXPROCS=1"} {
		c := exec.CommandContext(ctx, bin)
		c.Env = append(os.Environ(), env)
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "as it should be") {
			t.Errorf("%s: %v\n%s", env, err, out)
		}
	}
}
