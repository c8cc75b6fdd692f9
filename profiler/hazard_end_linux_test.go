//go:build linux && (amd64 || arm64)

package profiler

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// killedChild runs body in a process of its own that does not come back to the test, and returns what it
// printed and how it ended. It is for cases that inChild runs: in the new process it runs body.
func killedChild(t *testing.T, top, name string, body func(t *testing.T)) (out, end string) {
	t.Helper()
	const env = "FIRSTTOUCH_TEST_KILLED"
	if os.Getenv(env) != "" {
		if os.Getenv(env) == name {
			body(t)
			os.Exit(0)
		}
		return "", ""
	}
	c := exec.Command(os.Args[0], "-test.v", "-test.count=1", "-test.run=^"+top+"$")
	c.Env = append(os.Environ(), env+"="+name)
	ended := make(chan struct{})
	defer close(ended)
	var timedOut atomic.Bool
	limit := time.AfterFunc(testproc.Budget(hangBudget/3), func() {
		timedOut.Store(true)
		c.Process.Kill()
	})
	defer limit.Stop()
	b, err := c.CombinedOutput()
	switch {
	case timedOut.Load():
		t.Fatalf("%s: a hang\n%s", name, b)
	case err != nil:
		return string(b), err.Error()
	}
	return string(b), "exit status 0"
}

// ends are ways in which a process can end in the middle of a storm of faults.
var ends = []struct {
	name string
	end  func()
	want string // of exec.ExitError
	says string
}{
	{"exit", func() { os.Exit(3) }, "exit status 3", ""},
	{"panic", func() { go panic("on purpose") }, "exit status 2", "panic: on purpose"},
	{"SIGQUIT", func() { unix.Kill(os.Getpid(), unix.SIGQUIT) }, "exit status 2", "SIGQUIT: quit"},
	{"SIGTERM", func() { unix.Kill(os.Getpid(), unix.SIGTERM) }, "signal: terminated", ""},
	{"SIGKILL", func() { unix.Kill(os.Getpid(), unix.SIGKILL) }, "signal: killed", ""},
	{"exec", func() {
		_ = unix.Exec("/bin/sh", []string{"sh", "-c", "exit 7"}, nil)
		os.Exit(1)
	}, "exit status 7", ""},
}

// A process ends in a storm as it would without the profiler: it exits, crashes with its stacks, is
// killed, or becomes another program, and its file holds all that was written.
func TestEndsInAStorm(t *testing.T) {
	aside(t)
	const top = "TestEndsInAStorm"
	for _, c := range ends {
		inChild(t, top, c.name, nil, func(t *testing.T) {
			out, end := killedChild(t, top, c.name, func(t *testing.T) {
				const pages = 3000
				p := newProfiler(t)
				regions := arm(t, p, pages)
				for _, a := range regions {
					startStorm(t, a)
				}
				for p.Snapshot().Stats.Faults < pages {
					runtime.Gosched()
				}
				c.end()
				select {}
			})
			if strings.Contains(out, "--- SKIP") {
				t.Skip(out)
			}
			if end != c.want || !strings.Contains(out, c.says) {
				t.Errorf("ended with %s, want %s and %q\n%s", end, c.want, c.says, out)
			}
			t.Logf("seen: %s", end)
		})
	}
}
