//go:build linux && (amd64 || arm64)

package hazards

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// mutexCase is a run of the program mutex.
type mutexCase struct {
	name   string
	nobody bool // as a user without privileges
	env    []string
	files  string   // FIRSTTOUCH_FILES, with DIR for the directory
	says   []string // parts of its output
	never  []string
	aborts bool // the C library aborts it
}

const (
	lockObserved = "lock.mdb: touched true, armed again true"
	dataObserved = "data.mdb: touched true, armed again true"
	lockLeft     = "lock.mdb is not profiled: it is mapped to be written to"
	unserved     = "reason: system calls of this service would fail"
	canFail      = "note: system calls of this service can fail"
)

// Threads of C's contend for a mutex in a file, as those of LMDB do, while windows arm it again. Where the kernel does
// not serve futex(2), the file is left alone, unless its path is given: then the C library aborts the process, as the
// setting says.
func TestMutexInAFile(t *testing.T) {
	program := buildProgram(t, "mutex")
	allowed := []string{"FIRSTTOUCH_ALLOW_FAILING_SYSTEM_CALLS=true"}
	thread, signal := "FIRSTTOUCH_DELIVERY=thread", "FIRSTTOUCH_DELIVERY=signal"
	for _, c := range []mutexCase{
		{name: "served", env: []string{thread}, files: "DIR/*", says: []string{lockObserved, dataObserved}, never: []string{canFail}},
		{name: "not allowed", nobody: true, env: []string{thread}, files: "DIR/lock.mdb:DIR/*",
			says: []string{unserved}, never: []string{"touched"}},
		{name: "allowed, found by a pattern", nobody: true, env: append(allowed, thread), files: "DIR/*",
			says: []string{canFail, lockLeft, dataObserved}, never: []string{"lock.mdb: touched"}},
		{name: "allowed, its path given", nobody: true, env: append(allowed, thread), files: "DIR/lock.mdb", aborts: true},
		{name: "delivery by signal, found by a pattern", env: []string{signal}, files: "DIR/*",
			says: []string{canFail, lockLeft, dataObserved}, never: []string{"lock.mdb: touched"}},
		{name: "delivery by signal, its path given", env: []string{signal}, files: "DIR/lock.mdb", aborts: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, program)
		})
	}
}

// buildProgram builds a program of testdata with C code, for every user to run.
func buildProgram(t *testing.T, name string) (path string) {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skipf("no C compiler: %v", err)
	}
	path = filepath.Join(testproc.PublicDir(t), name)
	build := exec.Command("go", "build", "-o", path, "./testdata/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// A thread that dies, and a process that is killed, while it holds robust mutexes in armed memory: files on a disk and on
// tmpfs, private memory, and private memory of which writes alone are observed.
func TestRobustMutexes(t *testing.T) {
	program := buildProgram(t, "robust")
	files := []string{filepath.Join(t.TempDir(), "data")}
	if shm, err := os.MkdirTemp("/dev/shm", "robust"); err == nil {
		t.Cleanup(func() { os.RemoveAll(shm) })
		if os.Getenv(testproc.DeliveryEnv) != "signal" { // which does not observe it
			files = append(files, filepath.Join(shm, "data"))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), testproc.Budget(budget/4))
	defer cancel()
	out, err := exec.CommandContext(ctx, program, files...).CombinedOutput()
	testproc.Told(t, out, err)
}

func (c *mutexCase) run(t *testing.T, program string) {
	dir := testproc.PublicDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), testproc.Budget(budget/4))
	defer cancel()
	cmd := exec.CommandContext(ctx, program, dir)
	cmd.Env = append(os.Environ(), "FIRSTTOUCH_FILES="+strings.ReplaceAll(c.files, "DIR", dir))
	cmd.Env = append(cmd.Env, c.env...)
	if c.nobody && os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.CombinedOutput()
	text := string(out)
	refused := strings.Contains(text, unserved)
	switch {
	case strings.Contains(text, "userfaultfd is not available"):
		t.Skip(text)
	case c.aborts && strings.Contains(text, "futex facility returned an unexpected error"):
		return
	case c.nobody && !refused && !strings.Contains(text, canFail) && err == nil:
		t.Skip("Stats.UserModeOnly is false: this user's system calls are served too")
	case !c.nobody && refused:
		t.Skip("Stats.UserModeOnly: " + text)
	case c.aborts:
		t.Fatalf("%v, want the C library to abort it\n%s", err, text)
	}
	testproc.Told(t, []byte(text[strings.LastIndexByte(strings.TrimSpace(text), '\n')+1:]), err)
	for _, want := range c.says {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, not := range c.never {
		if strings.Contains(text, not) {
			t.Errorf("%q must not be there", not)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
