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

	"golang.org/x/sys/unix"
)

const childEnv = "UFFD_TEST_CHILD"

// childBudget is generous: it bounds a hang, and says nothing about speed.
const childBudget = 60 * time.Second

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

func runChild(t *testing.T, program string, credential *syscall.Credential) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), childBudget)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-test.v", "-test.run=^"+t.Name()+"$")
	// The race detector lingers for a second at the end of a process unless told not to.
	cmd.Env = append(os.Environ(), childEnv+"="+t.Name(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		t.Fatalf("the child did not finish within %v:\n%s", childBudget, out)
	case errors.Is(err, unix.EACCES) && credential != nil:
		t.Skipf("uid %d cannot execute a file of the temporary directory: %v", credential.Uid, err)
	case err != nil:
		t.Fatalf("child: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP: "+t.Name()):
		t.Skipf("skipped in the child:\n%s", out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Fatalf("the child did not run the test:\n%s", out)
	}
	t.Logf("child:\n%s", out)
}
