//go:build linux && (amd64 || arm64)

package profiler

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// A program that is built in one of many ways finds its own faults, stacks, goroutines and spans to be right, and who touched
// its heap, and nothing of its Go runtime unknown.
func TestBuildsOfAllKinds(t *testing.T) {
	testproc.NeedLong(t, "builds a program in fifteen ways, for most of them with Go's own packages")
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("no go command: %v", err)
	}
	heap := "" // why it is not observed, on this kernel and with these privileges
	p := newProfiler(t, WithDelivery(DeliveryThread))
	if r, err := p.AttachGoHeap(); errors.Is(err, ErrNotSupported) {
		heap = err.Error()
	} else {
		must(t, err)
		closeBusy(t, r.Close)
	}
	closeBusy(t, p.Close)
	for _, m := range []struct {
		name string
		env  []string
		args []string
		cgo  bool
		arch string // only there
		no   string // it does not work so, and says this
	}{
		{name: "plain"},
		{name: "stripped", args: []string{"-ldflags=-s -w"}},
		{name: "pie", args: []string{"-buildmode=pie"}},
		{name: "external linker", cgo: true, args: []string{"-ldflags=-linkmode=external"}},
		{name: "external linker, pie", cgo: true, args: []string{"-buildmode=pie", "-ldflags=-linkmode=external"}},
		{name: "library", cgo: true, args: []string{"-buildmode=c-shared", "-tags=library"}},
		{name: "not optimized", args: []string{"-gcflags=github.com/firsttouch/firsttouch/...=-N -l"}},
		{name: "newer processor", arch: "amd64", env: []string{"GOAMD64=v3"}},
		{name: "coverage", args: []string{"-cover", "-coverpkg=all"}},
		{name: "coverage by atomics", args: []string{"-cover", "-covermode=atomic", "-coverpkg=all"}},
		{name: "race detector", cgo: true, args: []string{"-race"}},
		{name: "race detector and coverage", cgo: true, args: []string{"-race", "-cover", "-coverpkg=all"},
			no: "counts the coverage of the engine's own packages under the race detector"},
		{name: "address sanitizer", cgo: true, args: []string{"-asan"}},
		{name: "collector of before", env: []string{"GOEXPERIMENT=nogreenteagc"}},
		{name: "heap where it was", env: []string{"GOEXPERIMENT=norandomizedheapbase64"}},
	} {
		if m.arch != "" && m.arch != runtime.GOARCH {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			env := append([]string{"CGO_ENABLED=0"}, m.env...)
			if m.cgo {
				if _, err := exec.LookPath("gcc"); err != nil {
					t.Skip("no C compiler here: ", err)
				}
				env[0] = "CGO_ENABLED=1"
			}
			dir := t.TempDir()
			bin := filepath.Join(dir, "builds")
			args := append([]string{"build"}, m.args...)
			if m.name == "library" {
				run(t, env, "go", append(args, "-o", filepath.Join(dir, "libbuilds.so"), "./testdata/builds")...)
				run(t, nil, "gcc", "-o", bin, "-x", "c", "testdata/builds/host.c.txt", "-L"+dir, "-lbuilds", "-Wl,-rpath,"+dir)
			} else {
				run(t, env, "go", append(args, "-o", bin, "./testdata/builds")...)
			}
			out := run(t, []string{"GOCOVERDIR=" + dir}, bin)
			if !strings.Contains(out, "as it should be") {
				t.Error(out)
			}
			for line := range strings.Lines(out) {
				_, no, refused := strings.Cut(strings.TrimSpace(line), "not supported: ")
				if refused && no != heap && (m.no == "" || !strings.Contains(no, m.no)) {
					t.Errorf("refused: %s", no)
				}
			}
			if m.no != "" && strings.Count(out, m.no) != 2 {
				t.Errorf("not refused, by each delivery: %s", out)
			}
		})
	}
}

// run runs a command, which has to succeed, and returns what it printed.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testproc.Budget(8*time.Minute)) // Go's own packages are compiled anew
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v (%v)\n%s", name, strings.Join(args, " "), err, ctx.Err(), out)
	}
	return string(out)
}
