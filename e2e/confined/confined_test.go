//go:build linux && (amd64 || arm64)

package confined

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const (
	stageEnv = "FIRSTTOUCH_TEST_CONFINED" // confine, or observe
	nobody   = 65534
	pages    = 256
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(stageEnv) {
	case "":
		os.Exit(m.Run())
	case "confine":
		err = confine()
	case "observe":
		err = observe()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// seen is what the confined program says: how it observed, and how many of the touches that it made it has seen.
type seen struct {
	Delivery, Observed, Reason string
	Faults, Made               uint64
	Capabilities               string // CapEff of /proc/self/status
	Seccomp                    string
	ReadOnly                   bool
}

// In a container as strict as the usual ones, the agent by itself arms nothing that could fail a system call; where that is
// allowed it needs no userfaultfd, and sees every page once.
func TestStrictestContainer(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root makes user namespaces that are mapped to another user")
	}
	for _, c := range []struct {
		name     string
		env      []string
		delivery string // of an agent that observes
		faults   uint64
	}{
		{"by itself", nil, "", 0},
		{"system calls may fail", []string{"FIRSTTOUCH_ALLOW_FAILING_SYSTEM_CALLS=true"}, "signal", pages},
		{"by signal", []string{"FIRSTTOUCH_DELIVERY=signal"}, "signal", pages},
		{"by thread", []string{"FIRSTTOUCH_DELIVERY=thread"}, "", 0},
		{"observing", []string{"FIRSTTOUCH_DELIVERY=observe"}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := run(t, append(c.env, stageEnv+"=confine", "FIRSTTOUCH_TEST_SECCOMP=1"))
			if s.Capabilities != "0000000000000000" || s.Seccomp != "2" || !s.ReadOnly {
				t.Errorf("it is not confined: capabilities %s, seccomp %s, read-only %v", s.Capabilities, s.Seccomp, s.ReadOnly)
			}
			if s.Delivery != c.delivery || s.Faults != c.faults {
				t.Errorf("delivery %q, %d of %d touches (%s), want %q and %d", s.Delivery, s.Faults, s.Made, s.Reason, c.delivery, c.faults)
			}
			if c.name == "by itself" && !strings.Contains(s.Reason, "FIRSTTOUCH_ALLOW_FAILING_SYSTEM_CALLS=true") {
				t.Errorf("the reason does not name what needs no privileges: %s", s.Reason)
			}
			if (s.Delivery == "") != (s.Reason != "") {
				t.Errorf("delivery %q, and the reason is %q", s.Delivery, s.Reason)
			}
		})
	}
}

// Without the filter perf events can be had, where perf_event_paranoid is 2 or less: the agent observes by itself, and sees as
// many of the touches of a cold file as it does by signal.
func TestNamespacesAlone(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root makes user namespaces that are mapped to another user")
	}
	if _, err := profiler.Observable(); err != nil {
		t.Skip(err)
	}
	observed := run(t, []string{stageEnv + "=confine"})
	signal := run(t, []string{stageEnv + "=confine", "FIRSTTOUCH_DELIVERY=signal"})
	paranoid, err := os.ReadFile("/proc/sys/kernel/perf_event_paranoid")
	if err != nil {
		t.Fatal(err)
	}
	if observed.Delivery == "" && strings.TrimSpace(string(paranoid)) > "2" && strings.Contains(observed.Reason, "perf_event_paranoid") {
		t.Skip(observed.Reason)
	}
	if observed.Delivery != "observe" || observed.Faults != observed.Made {
		t.Errorf("by itself: delivery %q, %d of %d touches of a cold file: %s", observed.Delivery, observed.Faults, observed.Made, observed.Reason)
	}
	if signal.Delivery != "signal" || signal.Faults != signal.Made {
		t.Errorf("by signal: delivery %q, %d of %d touches: %s", signal.Delivery, signal.Faults, signal.Made, signal.Reason)
	}
}

// The demo runs in the same confinement, with a volume to write to, and says how it observed: the best way in which its own service, which
// copies what it writes, loses nothing. What it saw is the same by each way.
func TestDemo(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root makes user namespaces that are mapped to another user")
	}
	command := filepath.Join(t.TempDir(), "firsttouch")
	build := exec.Command("go", "build", "-o", command, "./cmd/firsttouch")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(goroot)), "src", "net") // a small one
	touched := make(map[string]int64)
	for _, c := range []struct {
		name, env string
		says      []string
		delivery  string
	}{
		{"Docker's filter", "FIRSTTOUCH_TEST_SECCOMP=1", []string{"fail here (by signal;"}, "signal"},
		{"namespaces alone", "FIRSTTOUCH_TEST_SECCOMP=", []string{"fail here (user mode only;"}, "thread"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := volume(t)
			for from, name := range map[string]string{"/proc/self/exe": "program", command: "firsttouch"} {
				text, err := os.ReadFile(from)
				if err == nil {
					err = os.WriteFile(filepath.Join(at, name), text, 0o755)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			numbersAt(t, at)
			out := confined(t, filepath.Join(at, "program"), []string{stageEnv + "=confine", c.env, "FIRSTTOUCH_TEST_DEMO=" + source,
				"FIRSTTOUCH_TEST_NUMBERS=" + filepath.Join(at, "numbers"), "FIRSTTOUCH_TEST_DATA=" + filepath.Join(at, "data.db")})
			for _, text := range append(c.says, "What it means", "Memory: how much was needed", "Code that waited most") {
				if !bytes.Contains(out, []byte(text)) {
					t.Errorf("%q is not in\n%s", text, out)
				}
			}
			text, err := os.ReadFile(filepath.Join(at, "out", "summary.json"))
			if err != nil {
				t.Fatal(err)
			}
			var sum struct {
				SameAnswers bool `json:"same_answers"`
				Profile     struct {
					Engine struct {
						Delivery string `json:"delivery"`
						Dropped  uint64 `json:"dropped"`
					} `json:"engine"`
					Regions []struct {
						Touched int64  `json:"touched_bytes"`
						Faults  uint64 `json:"faults"`
					} `json:"regions"`
				} `json:"profile"`
			}
			if err := json.Unmarshal(text, &sum); err != nil {
				t.Fatal(err)
			}
			if e := sum.Profile.Engine; e.Delivery != c.delivery || e.Dropped != 0 || !sum.SameAnswers || len(sum.Profile.Regions) != 1 {
				t.Fatalf("%s", text)
			}
			touched[c.name] = sum.Profile.Regions[0].Touched
		})
	}
	t.Logf("touched: %v", touched)
	if touched["Docker's filter"] != touched["namespaces alone"] || touched["namespaces alone"] == 0 {
		t.Errorf("touched bytes: %v, want the same by each way", touched)
	}
}

// numbersAt copies the table of the numbers of system calls to a directory.
func numbersAt(t *testing.T, dir string) {
	t.Helper()
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(module)), "unix", "zsysnum_linux_"+runtime.GOARCH+".go"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "numbers"), table, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run starts the program in namespaces of its own, and returns what it says.
func run(t *testing.T, env []string) (s seen) {
	t.Helper()
	full := volume(t)
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(full, "program")
	if err := os.WriteFile(exe, program, 0o755); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(full, "data.db")
	if err := os.WriteFile(data, bytes.Repeat([]byte{7}, pages*os.Getpagesize()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(data, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	numbersAt(t, full)
	out := confined(t, exe, append([]string{"FIRSTTOUCH_TEST_NUMBERS=" + filepath.Join(full, "numbers"), "FIRSTTOUCH_TEST_DATA=" + data, "FIRSTTOUCH_FILES=" + data}, env...))
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	t.Logf("%+v", s)
	return s
}

// volume is a directory on the disk of the test, which the other user may write to: the namespaces hide /tmp.
func volume(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(".", "data-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	full, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(full, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return full
}

// confined runs a copy of the test's program, which goes on as env says, in namespaces of its own and with half a processor, and returns its output.
func confined(t *testing.T, exe string, env []string) []byte {
	t.Helper()
	c := exec.Command(exe)
	c.Env = append(os.Environ(), env...)
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:                 unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC,
		UidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: nobody, HostID: nobody, Size: 1}},
		GidMappingsEnableSetgroups: true,
		GidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: nobody, HostID: nobody, Size: 1}},
	}
	enter := halfProcessor(t)
	var out, diag bytes.Buffer
	c.Stdout, c.Stderr = &out, &diag
	err := c.Start()
	if err == nil {
		timer := time.AfterFunc(4*time.Minute, func() { c.Process.Kill() })
		defer timer.Stop()
		enter(c.Process.Pid)
		err = c.Wait()
	}
	if err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
			t.Skipf("no user namespace: %v", err)
		}
		t.Fatalf("%v: %s\n%s", err, out.Bytes(), diag.Bytes())
	}
	return out.Bytes()
}

// halfProcessor makes a control group with half a processor, and returns what puts a process into it.
func halfProcessor(t *testing.T) (enter func(pid int)) {
	t.Helper()
	root, file, limit := "/sys/fs/cgroup", "cpu.max", "50000 100000"
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil { // cgroups(7), version 1
		root, file, limit = "/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "50000"
	}
	if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
		t.Logf("left out: a control group with half a processor: %v", err)
		return func(int) {}
	}
	group, err := os.MkdirTemp(root, "firsttouch-confined-")
	if err == nil {
		t.Cleanup(func() {
			for try := 0; os.Remove(group) != nil && try < 100; try++ { // the last process of it may still be going
				time.Sleep(10 * time.Millisecond)
			}
		})
		err = os.WriteFile(filepath.Join(group, file), []byte(limit), 0o644)
	}
	if err != nil {
		t.Logf("left out: a control group with half a processor: %v", err)
		return func(int) {}
	}
	return func(pid int) {
		if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(fmt.Sprint(pid)), 0o644); err != nil {
			t.Errorf("enter the control group: %v", err)
		}
	}
}

// confine is the first process of the namespaces: it leaves itself no more than a container's first process has, and becomes the program.
func confine() error {
	runtime.LockOSThread()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("/", "/", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind /: %w", err)
	}
	// The new mount lies over the old one: it is reached by its path from now on.
	if err := unix.Chroot("/"); err != nil {
		return err
	}
	at := filepath.Dir(os.Getenv("FIRSTTOUCH_TEST_DATA"))
	demo := os.Getenv("FIRSTTOUCH_TEST_DEMO") != ""
	if demo { // it has a volume
		if err := unix.Mount(at, at, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("a volume: %w", err)
		}
	}
	if err := unix.MountSetattr(-1, "/", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("a read-only root: %w", err)
	}
	if demo {
		if err := unix.MountSetattr(-1, at, 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return fmt.Errorf("a volume to write to: %w", err)
		}
		if err := os.Chdir(at); err != nil {
			return err
		}
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(nobody, nobody, nobody), syscall.Setresuid(nobody, nobody, nobody)); err != nil {
		return fmt.Errorf("become nobody: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if os.Getenv("FIRSTTOUCH_TEST_SECCOMP") != "" {
		if err := filter(); err != nil {
			return fmt.Errorf("seccomp: %w", err)
		}
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, stageEnv+"=") })
	exe := filepath.Join(at, "program")
	if demo {
		exe = filepath.Join(at, "firsttouch")
		return unix.Exec(exe, []string{exe, "demo", "-requests", "100", "-source", os.Getenv("FIRSTTOUCH_TEST_DEMO"), "-cache", at, "-out", filepath.Join(at, "out")}, append(env, "HOME="+at, "TMPDIR="+at))
	}
	return unix.Exec(exe, []string{exe}, append(env, stageEnv+"=observe"))
}

// filter installs Docker's default profile, for a container without capabilities.
func filter() error {
	profile, err := seccomp.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	if err != nil {
		return err
	}
	const load, equal, least, and, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	action := func(a specs.LinuxSeccompAction, errno *uint) uint32 {
		if a == specs.ActAllow {
			return unix.SECCOMP_RET_ALLOW
		}
		n := uint32(unix.EPERM)
		if errno != nil {
			n = uint32(*errno)
		}
		return unix.SECCOMP_RET_ERRNO | n
	}
	numbers, err := systemCalls()
	if err != nil {
		return err
	}
	// struct seccomp_data, include/uapi/linux/seccomp.h: the number at 0, the arguments at 16.
	program := []unix.SockFilter{{Code: load, K: 0}}
	for _, rule := range profile.Syscalls {
		for _, name := range rule.Names {
			number, known := numbers[name]
			if !known {
				continue
			}
			body := []unix.SockFilter{{Code: ret, K: action(rule.Action, rule.ErrnoRet)}}
			for _, a := range rule.Args {
				low := unix.SockFilter{Code: load, K: 16 + 8*uint32(a.Index)}
				end := uint8(len(body))
				switch a.Op {
				case specs.OpEqualTo:
					body = append([]unix.SockFilter{low, {Code: equal, K: uint32(a.Value), Jf: end}}, body...)
				case specs.OpLessThan:
					body = append([]unix.SockFilter{low, {Code: least, K: uint32(a.Value), Jt: end}}, body...)
				case specs.OpGreaterThan:
					body = append([]unix.SockFilter{low, {Code: least, K: uint32(a.Value) + 1, Jf: end}}, body...)
				case specs.OpNotEqual:
					body = append([]unix.SockFilter{low, {Code: equal, K: uint32(a.Value), Jt: end}}, body...)
				case specs.OpMaskedEqual:
					body = append([]unix.SockFilter{low, {Code: and, K: uint32(a.Value)}, {Code: equal, K: uint32(a.ValueTwo), Jf: end}}, body...)
				default:
					return fmt.Errorf("%s: argument %+v", name, a)
				}
			}
			if len(rule.Args) > 0 {
				body = append(body, unix.SockFilter{Code: load, K: 0}) // the number, for the next rule
			}
			program = append(append(program, unix.SockFilter{Code: equal, K: number, Jf: uint8(len(body))}), body...)
		}
	}
	program = append(program, unix.SockFilter{Code: ret, K: action(profile.DefaultAction, profile.DefaultErrnoRet)})
	f := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if _, _, n := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&f))); n != 0 {
		return n
	}
	return nil
}

// observe is the service: it maps a cold file as a library would, touches each page once in a random order of its own, and says
// what the agent has seen.
func observe() error {
	path := os.Getenv("FIRSTTOUCH_TEST_DATA")
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := errors.Join(unix.Fsync(int(f.Fd())), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)); err != nil {
		return err
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, pages*os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	if err := unix.Madvise(mem, unix.MADV_RANDOM); err != nil {
		return err
	}
	a, err := agent.Start(context.Background())
	if err != nil {
		return err
	}
	if err := a.Look(context.Background()); err != nil && a.Profiler() != nil {
		return err
	}
	s := seen{Reason: a.Reason(), Made: pages}
	for i := range pages {
		page := i * 97 % pages
		if mem[page*os.Getpagesize()] != 7 {
			return fmt.Errorf("page %d has wrong contents", page)
		}
	}
	if p := a.Profiler(); p != nil {
		p.Flush()
		snap := p.Snapshot()
		s.Delivery, s.Observed = snap.Stats.Delivery, snap.Stats.Observed()
		if r := snap.Region(path); r != nil {
			s.Faults = r.Faults
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "CapEff":
			s.Capabilities = strings.TrimSpace(value)
		case "Seccomp":
			s.Seccomp = strings.TrimSpace(value)
		}
	}
	_, err = os.Create(filepath.Join(filepath.Dir(path), "new"))
	s.ReadOnly = errors.Is(err, unix.EROFS)
	if err := a.Shutdown(context.Background()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}
