//go:build linux && (amd64 || arm64)

package profiler

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// Threads of C read and write memory of Go, and call back, while the heap is armed.
func TestGoHeapWithC(t *testing.T) {
	closeBusy(t, attachHeap(t, newProfiler(t)).Close) // or skip
	for _, tool := range []string{"go", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no C compiler here, or no go command: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*testproc.Budget(hangBudget)) // most of it to build
	defer cancel()
	bin := filepath.Join(t.TempDir(), "cgoheap")
	build := exec.CommandContext(ctx, "go", "build", "-o", bin, "./testdata/cgoheap")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, env := range []string{"GOGC=1", "GOMAXPROCS=1"} {
		c := exec.CommandContext(ctx, bin)
		c.Env = append(os.Environ(), env)
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "as it should be") {
			t.Errorf("%s: %v\n%s", env, err, out)
		}
	}
}
