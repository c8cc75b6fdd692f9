// Package testproc runs tests of the running test binary in a process of their own, where a test
// may hang, be killed, change its user or install a seccomp filter without harm to the others.
package testproc

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Result is what became of a child.
type Result struct {
	Out      string // standard output and standard error; after a timeout with a dump of all goroutines
	Err      error  // as of exec.Cmd.Wait; nil when the child's tests passed
	TimedOut bool   // the budget was over and the child was killed
}

// Option changes how a child runs.
type Option func(t *testing.T, c *exec.Cmd)

// WithArgs appends arguments to the child's command line.
func WithArgs(args ...string) Option {
	return func(_ *testing.T, c *exec.Cmd) { c.Args = append(c.Args, args...) }
}

// WithBinary runs another test binary than the running one, in a directory.
func WithBinary(path, dir string) Option {
	return func(_ *testing.T, c *exec.Cmd) { c.Path, c.Args[0], c.Dir = path, path, dir }
}

// graceful is how long a child may take to print its goroutines after SIGQUIT.
const graceful = 10 * time.Second

// Do runs the test called name, with env added to the environment. After budget the child gets
// SIGQUIT, so that it prints its goroutines, and then SIGKILL: budgets bound a hang and say nothing
// about speed. They are for fast hardware, see [Budget].
func Do(t *testing.T, name string, env []string, budget time.Duration, opts ...Option) Result {
	t.Helper()
	budget = Budget(budget)
	var pattern []string
	for part := range strings.SplitSeq(name, "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	var out bytes.Buffer
	c := exec.Command(os.Args[0], "-test.v", "-test.count=1", "-test.run="+strings.Join(pattern, "/"))
	c.Env = append(append(os.Environ(), "GOTRACEBACK=all"), env...)
	c.Stdout, c.Stderr, c.WaitDelay = &out, &out, graceful
	for _, o := range opts {
		o(t, c)
	}
	if err := c.Start(); err != nil {
		t.Fatalf("start %s in a child: %v", name, err)
	}
	ended := make(chan struct{})
	killed := make(chan bool, 1)
	go func() {
		select {
		case <-ended:
			killed <- false
			return
		case <-time.After(budget):
		}
		c.Process.Signal(syscall.SIGQUIT)
		select {
		case <-ended:
		case <-time.After(graceful):
			c.Process.Kill()
		}
		killed <- true
	}()
	err := c.Wait()
	close(ended)
	r := Result{Err: err, TimedOut: <-killed}
	r.Out = out.String()
	return r
}

// Run is Do for a child that has to pass. It returns the child's output; when the child skipped the
// test, so does the caller, with the child's reason.
func Run(t *testing.T, name string, env []string, budget time.Duration, opts ...Option) string {
	t.Helper()
	r := Do(t, name, env, budget, opts...)
	switch {
	case r.TimedOut:
		t.Fatalf("%s did not finish within %v:\n%s", name, Budget(budget), r.Out)
	case errors.Is(r.Err, exec.ErrWaitDelay):
		t.Fatalf("%s left a process behind that holds its output:\n%s", name, r.Out)
	case r.Err != nil:
		t.Fatalf("%s: %v\n%s", name, r.Err, r.Out)
	case strings.Contains(r.Out, "--- SKIP: "+name+" "):
		t.Skipf("skipped in the child:\n%s", r.Out)
	case !strings.Contains(r.Out, "--- PASS: "+name+" "):
		t.Fatalf("the child did not run %s:\n%s", name, r.Out)
	}
	return r.Out
}
