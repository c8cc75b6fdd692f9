//go:build amd64 || arm64

package pclntab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// Per build and run, in a child process. Generous: a mode's first build compiles the standard
// library again.
const modeBudget = 4 * time.Minute

// selfTests are what a build must pass when it runs.
var selfTests = []string{
	"TestSelfAgreesWithRuntime", "TestSelfFramelessFunctions", "TestSelfConcurrent",
	"TestSelfStaysOffTheHeap", "TestSelfWalk", "TestSelfRuntimeAssembly",
}

func runTool(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testproc.Budget(modeBudget))
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v (%v)\n%s", name, strings.Join(args, " "), err, ctx.Err(), out)
	}
	return string(out)
}

// TestBuildModes builds this package's tests in each way in which text and table may be laid out
// differently, and runs the ones about the running program there. What the linker alone changes is quick.
func TestBuildModes(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("no go command: %v", err)
	}
	cc := strings.Fields(runTool(t, nil, "go", "env", "CC"))
	_, ccErr := exec.LookPath(cc[0])
	other, quanta := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH], map[string]uint64{"amd64": 1, "arm64": 4}

	for _, m := range []struct {
		name     string
		args     []string
		arch     string
		cgo      bool
		stripped bool
	}{
		{name: "plain", arch: runtime.GOARCH},
		{name: "stripped", arch: runtime.GOARCH, args: []string{"-ldflags=-s -w"}, stripped: true},
		{name: "pie, trimpath", arch: runtime.GOARCH, args: []string{"-buildmode=pie", "-trimpath"}},
		{name: "race", arch: runtime.GOARCH, args: []string{"-race"}, cgo: true},
		{name: "external linker", arch: runtime.GOARCH, args: []string{"-ldflags=-linkmode=external"}, cgo: true},
		{name: "external linker, pie", arch: runtime.GOARCH, args: []string{"-buildmode=pie", "-trimpath", "-ldflags=-linkmode=external"}, cgo: true},
		{name: "other architecture", arch: other},
	} {
		t.Run(m.name, func(t *testing.T) {
			if m.args != nil && !m.stripped || m.arch != runtime.GOARCH {
				testproc.NeedLong(t, "compiles the standard library once more")
			}
			if m.cgo && ccErr != nil {
				t.Skipf("needs a C compiler: %v", ccErr)
			}
			bin := filepath.Join(t.TempDir(), "pclntab.test")
			env := []string{"GOOS=linux", "GOARCH=" + m.arch, "CGO_ENABLED=0"}
			if m.cgo {
				env[2] = "CGO_ENABLED=1"
			}
			runTool(t, env, "go", append(append([]string{"test", "-c", "-o", bin}, m.args...), ".")...)
			if !m.stripped {
				checkPrologues(t, bin, quanta[m.arch])
			}
			command := []string{bin}
			if m.arch != runtime.GOARCH {
				emulator, err := findEmulator(m.arch)
				if err != nil {
					t.Skipf("built and read, not run: %v", err)
				}
				command = []string{emulator, bin}
			}
			out := runTool(t, nil, command[0], append(command[1:], "-test.v", "-test.run=^TestSelf")...)
			for _, name := range selfTests {
				if !strings.Contains(out, "--- PASS: "+name+" ") {
					t.Errorf("%s did not pass:\n%s", name, out)
				}
			}
		})
	}
}

func findEmulator(arch string) (path string, err error) {
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]
	for _, suffix := range []string{"", "-static"} {
		if path, err = exec.LookPath("qemu-" + machine + suffix); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no emulator for %s: %w", arch, err)
}
