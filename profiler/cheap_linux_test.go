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

// The heap of C code, and a block that malloc mapped, are found in the list of mappings, attached, and observed while C
// code touches them. The program is testdata/cheap.
func TestHeapOfCCode(t *testing.T) {
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
	program := filepath.Join(t.TempDir(), "cheap")
	build := exec.Command(goTool, "build", "-o", program, "./testdata/cheap")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testproc.Budget(hangBudget))
	defer cancel()
	run := exec.CommandContext(ctx, program)
	out, err := run.CombinedOutput()
	last := strings.TrimSpace(string(out))
	if reason, skipped := strings.CutPrefix(last, "skip: "); skipped && err == nil {
		t.Skip(reason)
	}
	if err != nil || last != "ok" {
		t.Errorf("%v\n%s", err, out)
	}
}
