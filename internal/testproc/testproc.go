// Package testproc runs tests of the running test binary in a process of their own, where a test
// may hang, be killed, change its user or install a seccomp filter without harm to the others.
package testproc

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
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
	After    time.Duration
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
// about speed. They are for fast hardware that does nothing else, see [Budget], and grow while others keep the
// processors busy. The child does not outlive the time that go test has.
func Do(t *testing.T, name string, env []string, budget time.Duration, opts ...Option) Result {
	t.Helper()
	var pattern []string
	for part := range strings.SplitSeq(name, "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	var out bytes.Buffer
	c := exec.Command(os.Args[0], "-test.v", "-test.count=1", "-test.run="+strings.Join(pattern, "/"))
	// On a busy machine it takes long until all threads have stopped.
	c.Env = append(append(os.Environ(), "GOTRACEBACK=all", "FIRSTTOUCH_STOP_LIMIT=10s", "TMPDIR="+tempDir(t)), env...)
	c.Stdout, c.Stderr, c.WaitDelay = &out, &out, graceful
	for _, o := range opts {
		o(t, c)
	}
	if err := c.Start(); err != nil {
		t.Fatalf("start %s in a child: %v", name, err)
	}
	ended := make(chan struct{})
	killed := make(chan bool, 1)
	began := time.Now()
	go func() {
		for left := Budget(budget); left > 0; left = time.Until(lastMoment(t, began.Add(Budget(budget)))) {
			select {
			case <-ended:
				killed <- false
				return
			case <-time.After(min(left, time.Second)):
			}
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
	r := Result{Err: err, TimedOut: <-killed, After: time.Since(began)}
	r.Out = out.String()
	return r
}

// tempDir is for the temporary files of a child, which may be killed before it removes them. Every user may write to it.
func tempDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "testproc")
	if err == nil {
		err = os.Chmod(dir, 0o777|os.ModeSticky)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) // what a dead child left mounted stays: it is no fault of the test
	return dir
}

// lastMoment is when a child that was given until then has to be ended, so that what it prints is still seen.
func lastMoment(t *testing.T, then time.Time) time.Time {
	if limit, ok := t.Deadline(); ok && then.After(limit.Add(-2*graceful)) {
		return limit.Add(-2 * graceful)
	}
	return then
}

// Run is Do for a child that has to pass. It returns the child's output. When the child skipped the test, or every
// subtest of it, so does the caller, with the child's reasons; where it skipped some subtests, the caller gets
// subtests of the same names that skip.
func Run(t *testing.T, name string, env []string, budget time.Duration, opts ...Option) string {
	t.Helper()
	r := Do(t, name, env, budget, opts...)
	switch {
	case r.TimedOut:
		t.Fatalf("%s did not finish within %v:\n%s", name, r.After.Round(time.Second), r.Out)
	case errors.Is(r.Err, exec.ErrWaitDelay):
		t.Fatalf("%s left a process behind that holds its output:\n%s", name, r.Out)
	case r.Err != nil:
		t.Fatalf("%s: %v\n%s", name, r.Err, r.Out)
	}
	all := r.ends()
	i := slices.IndexFunc(all, func(e end) bool { return e.name == name && e.how != "FAIL" })
	if i < 0 {
		t.Fatalf("the child did not run %s:\n%s", name, r.Out)
	}
	if all[i].how == "SKIP" {
		t.Skip(InChild + r.reason(name))
	}
	skipped, ran := 0, 0 // of the subtests that have none
	var reasons []string
	for _, e := range all {
		if !strings.HasPrefix(e.name, name+"/") {
			continue
		}
		if e.how == "SKIP" {
			skipped++
			why := r.reason(e.name)
			reasons = append(reasons, e.name+": "+why)
			t.Run(e.name[len(name)+1:], func(t *testing.T) { t.Skip(InChild + why) })
		} else if !slices.ContainsFunc(all, func(sub end) bool { return strings.HasPrefix(sub.name, e.name+"/") }) {
			ran++
		}
	}
	if skipped > 0 && ran == 0 {
		t.Skipf("every subtest was %s%s", InChild, strings.Join(reasons, "\n"))
	}
	return r.Out
}

// InChild comes before the reason for which a child skipped.
const InChild = "skipped in the child: "

// CaseMark is what a child prints when it runs the body of a case, so that one that knows no such case does not pass.
func CaseMark(name string) string { return "the body of case " + strconv.Quote(name) }

// end is what a child says of a test when it ended.
type end struct{ how, name string } // PASS, SKIP or FAIL

var endLine = regexp.MustCompile(`^(?:    )*--- (PASS|SKIP|FAIL): (\S+) \(`)

// ends lists the tests that ended. The lines on subtests come right after that of their test, which is not indented:
// what looks alike elsewhere is output of a child's own child.
func (r Result) ends() (all []end) {
	inside := false
	for line := range strings.Lines(r.Out) {
		m := endLine.FindStringSubmatch(line)
		if inside = m != nil && (inside || strings.HasPrefix(line, "---")); inside {
			all = append(all, end{m[1], m[2]})
		}
	}
	return all
}

// Skips lists why tests of the child and their subtests skipped.
func (r Result) Skips() (reasons []string) {
	for _, e := range r.ends() {
		if e.how == "SKIP" {
			reasons = append(reasons, r.reason(e.name))
		}
	}
	return reasons
}

var (
	nowLine = regexp.MustCompile(`^=== \w+\s+(\S+)`)
	logLine = regexp.MustCompile(`^    \S+\.go:\d+: (.*)`)

	inChildLine = regexp.MustCompile(`(?m)^\s*\S+\.go:\d+: (.*)$`)
)

// reason is the last that a test logged, which is why it skipped. Where that is the output of a child, it is the last
// that the child logged.
func (r Result) reason(name string) string {
	var last []string
	now := ""
	for line := range strings.Lines(r.Out) {
		line = strings.TrimSuffix(line, "\n")
		if m := nowLine.FindStringSubmatch(line); m != nil {
			now = m[1]
		} else if strings.HasPrefix(line, "---") {
			now = "" // see ends
		} else if m := logLine.FindStringSubmatch(line); m != nil && now == name {
			last = []string{m[1]}
		} else if more, ok := strings.CutPrefix(line, "        "); ok && now == name {
			last = append(last, more)
		}
	}
	text := strings.Join(last, "\n")
	if strings.Contains(text, "=== RUN ") {
		if all := inChildLine.FindAllStringSubmatch(text, -1); all != nil {
			text = all[len(all)-1][1]
		}
	}
	return strings.TrimPrefix(text, InChild)
}
