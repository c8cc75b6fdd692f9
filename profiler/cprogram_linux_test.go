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

// runCProgram builds a program with C code of testdata and runs it. It says "ok", or "skip: " with a reason.
func runCProgram(t *testing.T, name string) {
	t.Helper()
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "gcc"
	}
	if _, err := exec.LookPath(cc); err != nil {
		t.Skipf("no C compiler here: %v", err)
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("no Go toolchain here: %v", err)
	}
	program := filepath.Join(t.TempDir(), name)
	build := exec.Command(goTool, "build", "-o", program, "./testdata/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testproc.Budget(hangBudget))
	defer cancel()
	out, err := exec.CommandContext(ctx, program).CombinedOutput()
	last := strings.TrimSpace(string(out))
	if reason, skipped := strings.CutPrefix(last, "skip: "); skipped && err == nil {
		t.Skip(reason)
	}
	if err != nil || last != "ok" {
		t.Errorf("%v\n%s", err, out)
	}
}

// The heap of C code, and a block that malloc mapped, are found in the list of mappings, attached, and observed while C
// code touches them.
func TestHeapOfCCode(t *testing.T) { runCProgram(t, "cheap") }

// A handler of SIGBUS that C code has installed gets the signals that are not the profiler's, and no others; Go's
// handler gets those that it passes on. A thread that blocks SIGBUS makes delivery by signal refuse to start.
func TestHandlerOfCCode(t *testing.T) { runCProgram(t, "cbus") }
