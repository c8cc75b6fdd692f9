package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/internal/vm/wire"
)

// tests are the packages whose tests run in the guests, with what each may take on fast hardware.
var tests = []struct {
	dir    string
	run    string // which of them, as of go test -run
	budget time.Duration
}{
	{"internal/raw", ".", time.Minute},
	{"internal/engine", ".", time.Minute},
	{"internal/pclntab", ".", time.Minute},
	{"uffd", ".", 3 * time.Minute},
	{"profiler", groundTruth + "|" + kinds + "|" + ways + "|" + hangs, 8 * time.Minute},
}

// Of the profiler's tests, those of what it sees, those of the kinds of memory, and those of what may hang, with
// as many processors for Go as the guest has. The others depend less on the kernel, and take an hour in software
// emulation, of which the Go heap's take five minutes a kernel; .ci/vm -run . has all of them.
const (
	groundTruth = "TestEveryWayOfTouching|TestOrderOverThreads|TestCoTouchersAreOneFault|TestGranules$/^(4K|16K|64K)|" +
		"TestSources|TestWindows|TestDiscardedPagesAreTouchedAgain"
	kinds = "TestArenaWindows|TestAttachedMemoryWindows|TestFileWindows|TestSharedMemoryWindows|TestWritesOnlyWindows|TestHugePages|" +
		"TestSwappedMemory|TestOtherSignalsAreAsBefore"
	// Those that need no userfaultfd, and so no new kernel.
	ways  = "TestAccessTaken|TestAccessTakenFromMemory|TestNoUserfaultfd|TestObserve|TestObserveHazards|TestAdvise"
	hangs = "TestNoWayOfTouchingHangs/^(load|copy|write)/^" + cpus + "|TestForkDoesNotHang/./^" + cpus + "|TestGoroutineAsResolverHangs|TestNoCrewHangs"
)

// doctor is the step that is no test.
const doctor = "doctor"

// source is where the guest has the files of the repository, for tests that read some.
const source = "/src"

// build compiles for an architecture: process 1 into the file guest, the rest into a directory.
func build(ctx context.Context, arch, guest, dir string) error {
	args := [][]string{
		{"build", "-o", guest, "./internal/vm/guest"},
		{"build", "-o", filepath.Join(dir, "true"), "./internal/vm/guest"}, // the other thing that it can do
		{"build", "-o", filepath.Join(dir, "firsttouch"), "./cmd/firsttouch"},
	}
	for _, t := range tests {
		args = append(args, []string{"test", "-c", "-o", filepath.Join(dir, binary(t.dir)), "./" + t.dir})
	}
	for _, a := range args {
		c := exec.CommandContext(ctx, "go", a...)
		c.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
		if _, err := output(c); err != nil {
			return err
		}
	}
	return nil
}

// binary is the name of a package's test binary.
func binary(dir string) string { return strings.ReplaceAll(dir, "/", "-") + ".test" }

// job is what every guest does, with time budgets that are slowness times as long as on fast hardware.
func job(modules []module, slowness int, only string) wire.Job {
	j := wire.Job{Env: []string{
		"HOME=/tmp", "PATH=" + wire.Binaries,
		testproc.SlownessEnv + "=" + strconv.Itoa(slowness),
	}}
	for _, m := range modules {
		j.Modules = append(j.Modules, m.name)
	}
	j.Steps = append(j.Steps, wire.Step{
		Name: doctor, Args: []string{wire.Binaries + "/firsttouch", "doctor", "-json"}, Dir: source,
		Budget: time.Duration(slowness) * time.Minute,
	})
	for _, t := range tests {
		limit := time.Duration(slowness) * t.budget
		args := []string{
			wire.Binaries + "/" + binary(t.dir), "-test.v=test2json", "-test.timeout=" + limit.String(),
			"-test.run=" + cmp.Or(only, t.run),
		}
		// The tests' own end prints more than a signal would, so it comes first.
		j.Steps = append(j.Steps, wire.Step{Name: t.dir, Args: args, Dir: source + "/" + t.dir, Budget: limit + 30*time.Second})
	}
	return j
}

// stage makes the tree of the guest's disk: the binaries in wire.Binaries already, and the files that
// git knows, as they are in the worktree.
func stage(ctx context.Context, root string) error {
	for _, d := range []string{"dev", "etc", "proc", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky); err != nil {
		return err
	}
	users := []byte("root:x:0:0::/:\nnobody:x:65534:65534::/:\n")
	if err := os.WriteFile(filepath.Join(root, "etc/passwd"), users, 0o644); err != nil {
		return err
	}
	list, err := output(exec.CommandContext(ctx, "git", "ls-files", "-z"))
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		text, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("a file that git knows: %w", err)
		}
		path := filepath.Join(root, source, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// initramfs writes what the guest starts from: our own process 1, what it has to do, and the modules
// that its disk needs.
func initramfs(path, guest string, modules []module, jobText []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	program, err := os.ReadFile(guest)
	if err != nil {
		return err
	}
	a := &archive{w: f}
	a.file("init", 0o755, program)
	a.file(strings.TrimPrefix(wire.JobFile, "/"), 0o644, jobText)
	a.dir(strings.TrimPrefix(wire.Modules, "/"))
	for _, m := range modules {
		a.file(strings.TrimPrefix(wire.Modules, "/")+"/"+m.name, 0o644, m.image)
	}
	if err := a.close(); err != nil {
		return err
	}
	return f.Close()
}
