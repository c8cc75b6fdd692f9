//go:build linux && (amd64 || arm64)

package hazards

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// Threads that C made, which block all signals, and a plugin touch profiled memory: nobody hangs and nothing is
// missed but stacks, which are counted.
func TestForeignThreads(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skipf("no C compiler: %v", err)
	}
	dir := t.TempDir()
	program, lib := filepath.Join(dir, "cgo"), filepath.Join(dir, "plugin.so")
	for _, args := range [][]string{
		{"build", "-o", program, "./testdata/cgo"},
		{"build", "-buildmode=plugin", "-o", lib, "./testdata/plugin"},
	} {
		c := exec.Command("go", args...)
		c.Env = append(os.Environ(), "CGO_ENABLED=1", "GOGC=100")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", args, err, out)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), testproc.Budget(budget/4))
	defer cancel()
	out, err := exec.CommandContext(ctx, program, lib, filepath.Join(dir, "data")).CombinedOutput()
	if err == nil && bytes.HasPrefix(out, []byte("seen: ")) {
		seen, rest, _ := bytes.Cut(out, []byte("\n"))
		t.Logf("%s", seen)
		out = rest
	}
	testproc.Told(t, out, errors.Join(err, ctx.Err()))
}
