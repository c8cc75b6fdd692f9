//go:build linux && (amd64 || arm64)

package profiler

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// buildCProgram compiles a program with C code of testdata.
func buildCProgram(ctx context.Context, t *testing.T, name string) (path string) {
	t.Helper()
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "gcc"
	}
	if _, err := exec.LookPath(cc); err != nil {
		t.Skipf("no C compiler here: %v", err)
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("no Go toolchain here: %v", err)
	}
	path = filepath.Join(t.TempDir(), name)
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./testdata/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// runCProgram builds a program of testdata and runs it.
func runCProgram(t *testing.T, name string) {
	t.Helper()
	aside(t)
	program := buildCProgram(t.Context(), t, name)
	ctx, cancel := context.WithTimeout(t.Context(), testproc.Budget(hangBudget))
	defer cancel()
	out, err := exec.CommandContext(ctx, program).CombinedOutput()
	testproc.Told(t, out, err)
}

// The heap of C code, and a block that malloc mapped, are found in the list of mappings, attached, and observed while C
// code touches them, also from a thread of its own. Afterwards they hold what they should, and their mappings are what they were.
func TestHeapOfCCode(t *testing.T) { runCProgram(t, "cheap") }

// A handler of SIGBUS that C code has installed gets the signals that are not the profiler's, and no others; Go's
// handler gets those that it passes on. A thread that blocks SIGBUS makes delivery by signal refuse to start.
func TestHandlerOfCCode(t *testing.T) { runCProgram(t, "cbus") }
