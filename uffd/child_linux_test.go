package uffd

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

const childEnv = "UFFD_TEST_CHILD"

// childBudget bounds a hang, and says nothing about speed.
func childBudget() time.Duration { return testproc.Budget(time.Minute) + stressTime() }

// inChild makes the test run in a process of its own, where a thread that waits for ever for a page
// can be killed. It answers true in that process, and false in the parent once it has passed.
//
// A goroutine that waits for a page by a load, or for the event of its fork, keeps its processor in
// Go's sense of the word, so the child gets more of them than goroutines that do so, however many
// the machine has.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childEnv) == t.Name() {
		runtime.GOMAXPROCS(max(4, runtime.GOMAXPROCS(0)))
		return true
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	runChild(t, program, nil)
	return false
}

// parentOf reports whether this is the process that will start the test's child.
func parentOf(t *testing.T) bool { return os.Getenv(childEnv) != t.Name() }

// asNobody is inChild as a user without any privileges.
func asNobody(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childEnv) == t.Name() {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("only root can start a process as another user; the other tests run unprivileged already")
	}
	const nobody = 65534
	runChild(t, publicProgram(t), &syscall.Credential{Uid: nobody, Gid: nobody})
	return false
}

// publicProgram copies the test binary to where every user can execute it.
func publicProgram(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "uffd.test")
	source, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(target, source); err != nil {
		t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, dir, filepath.Dir(dir)} {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// child is what became of a test that ran in a process of its own.
type child struct {
	out      string
	err      error
	timedOut bool
}

func runChild(t *testing.T, program string, credential *syscall.Credential) {
	t.Helper()
	spawn(t, program, credential).judge(t, credential)
}

// spawn runs the calling test in a child with more environment.
func spawn(t *testing.T, program string, credential *syscall.Credential, env ...string) child {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), childBudget())
	defer cancel()
	// A subtest's name is a pattern for each of its levels.
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.CommandContext(ctx, program, "-test.v", "-test.run="+pattern)
	// The race detector lingers for a second at the end of a process unless told not to.
	cmd.Env = append(append(os.Environ(), childEnv+"="+t.Name(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")), env...)
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	// After the budget a hang should say where it is.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	out, err := cmd.CombinedOutput()
	return child{string(out), err, ctx.Err() != nil}
}

// judge ends the test as the child did.
func (c child) judge(t *testing.T, credential *syscall.Credential) {
	t.Helper()
	switch {
	case c.timedOut:
		t.Fatalf("the child did not finish within %v:\n%s", childBudget(), c.out)
	case errors.Is(c.err, unix.EACCES) && credential != nil:
		t.Skipf("uid %d cannot execute a file of the temporary directory: %v", credential.Uid, c.err)
	case c.err != nil:
		t.Fatalf("child: %v\n%s", c.err, c.out)
	case strings.Contains(c.out, "--- SKIP: "+t.Name()+" "):
		t.Skipf("skipped in the child:\n%s", c.out)
	case !strings.Contains(c.out, "--- PASS: "+t.Name()+" "):
		t.Fatalf("the child did not run the test:\n%s", c.out)
	}
	t.Logf("child:\n%s", c.out)
}
