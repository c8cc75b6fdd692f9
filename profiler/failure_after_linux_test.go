//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/calls"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// notesSay reports whether a note has all of the words.
func notesSay(s *Snapshot, words ...string) bool {
	for _, n := range s.Stats.Notes {
		all := true
		for _, w := range words {
			all = all && strings.Contains(n, w)
		}
		if all {
			return true
		}
	}
	return false
}

// A seccomp profile that was recorded from a Go service does not have clock_gettime(2), since Go reads the clock in the
// vDSO: nothing depends on it, before the start and after.
func TestClockRefused(t *testing.T) {
	aside(t)
	if !clockWithoutCall(t) {
		t.Skip("the kernel's clock is read by clock_gettime(2) here, which Go itself cannot do without")
	}
	for _, when := range []string{"before the start", "after it"} {
		inChildren(t, "TestClockRefused", when, nil, func(t *testing.T) {
			if when == "before the start" {
				refuseWhere(t, unix.SYS_CLOCK_GETTIME, anyArgument, 0, unix.ENOSYS)
			}
			p := newProfiler(t)
			if when != "before the start" {
				refuseWhere(t, unix.SYS_CLOCK_GETTIME, anyArgument, 0, unix.EPERM)
			}
			var c core
			before := Monotonic()
			c.attach(t, p)
			c.use(t, p)
			c.checkContents(t, "armed")
			s := p.Snapshot()
			for _, f := range s.Faults {
				if f.Time < before || f.Time > Monotonic() || f.Stall <= 0 {
					t.Fatalf("a fault at %v for %v, after %v", f.Time, f.Stall, before)
				}
			}
			if len(c.errs) > 0 || s.Stats.Faults == 0 || s.Stats.Overhead == 0 || !notesSay(s, "clock_gettime") {
				t.Errorf("%v, %d faults, %v of overhead, notes %q", c.errs, s.Stats.Faults, s.Stats.Overhead, s.Stats.Notes)
			}
			closeBusy(t, p.Close)
			c.checkContents(t, "closed")
			t.Logf("seen: %d faults, overhead %v, said %q", s.Stats.Faults, s.Stats.Overhead, s.Stats.Notes)
		})
	}
}

// A file for whose mapping mremap(2) is refused is not silently left out: the error names the call, and is no
// mapping that has just gone.
func TestRemapRefusedBeforeAttaching(t *testing.T) {
	for name, errno := range map[string]unix.Errno{"EPERM": unix.EPERM, "ENOSYS": unix.ENOSYS} {
		inChildren(t, "TestRemapRefusedBeforeAttaching", name, nil, func(t *testing.T) {
			const size = 16 << 12
			path := newFile(t, size)
			p := newProfiler(t, WithRescan(time.Millisecond))
			memory := mapFile(t, path, size, unix.PROT_READ, unix.MAP_SHARED)
			if _, err := p.AttachFile(path); err != nil {
				t.Fatal(err)
			}
			refuseWhere(t, unix.SYS_MREMAP, anyArgument, 0, errno)
			other := newFile(t, size)
			mapFile(t, other, size, unix.PROT_READ, unix.MAP_SHARED)
			_, err := p.AttachFile(other)
			if testDelivery() == DeliverySignal { // which does without mremap
				must(t, err)
				if i := different(memory, contents(size)); i >= 0 {
					t.Errorf("byte %d is %d", i, memory[i])
				}
				leave(t)
			}
			wantError(t, "attach", err, ErrNotSupported, "mremap", errno.Error(), "seccomp")
			if !errors.Is(err, errno) {
				t.Errorf("%v is not %v", err, errno)
			}
			// A mapping that comes later is said to be left out.
			mapFile(t, path, size, unix.PROT_READ, unix.MAP_SHARED)
			for !notesSay(p.Snapshot(), "region "+path, "mremap", errno.Error()) {
				time.Sleep(time.Millisecond)
			}
			if i := different(memory, contents(size)); i >= 0 {
				t.Errorf("byte %d is %d", i, memory[i])
			}
			t.Logf("seen: %v; notes %q", err, p.Snapshot().Stats.Notes)
			leave(t)
		})
	}
}

// refusedSignals are ways in which threads cannot be sent the engine's signal.
var refusedSignals = []struct {
	name   string
	refuse func(t *testing.T)
	says   []string
	errno  unix.Errno
	is     error
}{
	{"rt_tgsigqueueinfo, EPERM", func(t *testing.T) { refuseWhere(t, unix.SYS_RT_TGSIGQUEUEINFO, anyArgument, 0, unix.EPERM) },
		[]string{"rt_tgsigqueueinfo", "seccomp"}, unix.EPERM, ErrNotSupported},
	{"rt_tgsigqueueinfo, ENOSYS", func(t *testing.T) { refuseWhere(t, unix.SYS_RT_TGSIGQUEUEINFO, anyArgument, 0, unix.ENOSYS) },
		[]string{"rt_tgsigqueueinfo", "seccomp"}, unix.ENOSYS, ErrNotSupported},
	{"RLIMIT_SIGPENDING", func(t *testing.T) {
		must(t, unix.Setrlimit(unix.RLIMIT_SIGPENDING, &unix.Rlimit{}))
	}, []string{"rt_tgsigqueueinfo", "RLIMIT_SIGPENDING", "ulimit -i"}, unix.EAGAIN, ErrBusy},
}

// Where threads cannot be asked, stacks are missing with the reason; where they cannot be stopped, the error has it.
func TestSignalsRefused(t *testing.T) {
	aside(t)
	for _, c := range refusedSignals {
		for _, when := range []string{"before", "after"} {
			inChild(t, "TestSignalsRefused", c.name+" "+when, nil, func(t *testing.T) {
				const pages = 300
				if when == "before" {
					c.refuse(t)
				}
				p := newProfiler(t)
				if when == "after" {
					c.refuse(t)
				}
				a := newArena(t, p, "arena", pages*pageSize)
				for i := range pages {
					a.Bytes()[i*pageSize] = 1
				}
				s := p.Snapshot()
				if s.Stats.Faults != pages || s.Stats.StacksMissed != pages || !notesSay(s, append(c.says, "stacks of faults", c.errno.Error())...) {
					t.Errorf("%d faults, %d stacks missed, notes %q", s.Stats.Faults, s.Stats.StacksMissed, s.Stats.Notes)
				}
				path := newFile(t, 4*pageSize)
				memory := mapFile(t, path, 4*pageSize, unix.PROT_READ, unix.MAP_SHARED)
				_, err := p.AttachFile(path)
				wantError(t, "attach", err, c.is, append(c.says, c.errno.Error())...)
				if !errors.Is(err, c.errno) {
					t.Errorf("%v is not %v", err, c.errno)
				}
				if i := different(memory, contents(4*pageSize)); i >= 0 {
					t.Errorf("byte %d is %d", i, memory[i])
				}
				// Nobody has to be stopped for what a guard holds.
				if _, err := p.AttachFile(path, WithGuard(func(critical func()) error { critical(); return nil })); err != nil {
					t.Errorf("with a guard: %v", err)
				}
				closeBusy(t, p.Close)
				t.Logf("seen: %v; %q", err, s.Stats.Notes)
			})
		}
	}
}

// strangeProcs are kinds of /proc that a container or sandbox may have.
var strangeProcs = []struct {
	name  string
	flags uintptr
	mount func(t *testing.T)
	says  []string // of the error, or empty where all works
}{
	{"none", unix.CLONE_NEWNS, func(t *testing.T) { must(t, unix.Mount("none", "/proc", "tmpfs", 0, "")) },
		[]string{"/proc", "mount -t proc"}},
	{"of another PID namespace", unix.CLONE_NEWNS | unix.CLONE_NEWPID, func(*testing.T) {},
		[]string{"another PID namespace", "mount -t proc"}},
	{"of a PID namespace in which the process is not", unix.CLONE_NEWNS, foreignProc,
		[]string{"another PID namespace", "mount -t proc"}},
	{"hidepid=2", unix.CLONE_NEWNS | unix.CLONE_NEWPID, func(t *testing.T) { mountProc(t, "hidepid=2") }, nil},
	{"subset=pid", unix.CLONE_NEWNS | unix.CLONE_NEWPID, func(t *testing.T) { mountProc(t, "subset=pid") }, nil},
}

func mountProc(t *testing.T, options string) {
	t.Helper()
	if err := unix.Mount("proc", "/proc", "proc", 0, options); err != nil {
		t.Skipf("no /proc with %s here: %v", options, err)
	}
}

// foreignProc mounts the /proc of a child's PID namespace.
func foreignProc(t *testing.T) {
	t.Helper()
	c := exec.Command("sleep", "60")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	must(t, c.Start())
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	fd, err := unix.Open("/proc/"+strconv.Itoa(c.Process.Pid)+"/ns/pid", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	// Only what is forked from now on is in the namespace: a child mounts what we all see. A thread from which that is so
	// cannot start others (copy_process, kernel/fork.c): of one that is locked the runtime does not ask it.
	runtime.LockOSThread()
	must(t, unix.Setns(fd, unix.CLONE_NEWPID))
	if out, err := exec.Command("mount", "-t", "proc", "proc", "/proc").CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
}

// The engine finds threads and mappings by the numbers in /proc. Where that is not the process's own, the error says so;
// one that hides other processes and the system's settings is enough.
func TestStrangeProc(t *testing.T) {
	const env = "FIRSTTOUCH_TEST_PROC"
	for _, c := range strangeProcs {
		if os.Getenv(env) == "" {
			t.Run(c.name, func(t *testing.T) {
				if os.Getuid() != 0 {
					t.Skip("only root can mount a /proc of its own")
				}
				testproc.Run(t, "TestStrangeProc", []string{env + "=" + c.name}, time.Minute, func(_ *testing.T, child *exec.Cmd) {
					child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: c.flags}
				})
			})
			continue
		}
		if os.Getenv(env) != c.name {
			continue
		}
		must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		c.mount(t)
		if c.says != nil {
			for range 2 {
				p, err := New(WithDelivery(testDelivery()))
				if p != nil {
					t.Fatal("a profiler started")
				}
				wantError(t, c.name, err, ErrNotSupported, c.says...)
				t.Logf("seen: %v", err)
			}
			return
		}
		p := newProfiler(t)
		var all core
		all.attach(t, p)
		all.use(t, p)
		all.checkContents(t, "armed")
		s := p.Snapshot()
		if len(all.errs) > 0 || s.Stats.Faults == 0 || s.Stats.StacksMissed > s.Stats.Faults/10 {
			t.Errorf("%v, %d faults, %d stacks missed, notes %q", all.errs, s.Stats.Faults, s.Stats.StacksMissed, s.Stats.Notes)
		}
		closeBusy(t, p.Close)
	}
}

// With delivery by signal, a signal that comes late is told from the program's own by asking for the page. Where that is
// refused (MADV_POPULATE_READ), neither is taken for the other: every page of a shared file is met by several threads at
// once, and a mapping behind the end of its file still faults.
func TestLateSignalsWhereAskingIsRefused(t *testing.T) {
	inChild(t, "TestLateSignalsWhereAskingIsRefused", "all", []string{testproc.DeliveryEnv + "=" + DeliverySignal.String()}, func(t *testing.T) {
		const pages, rounds = 64, 50
		p := newProfiler(t)
		regions := arm(t, p, pages)
		path := newFile(t, 2*pageSize)
		own := mapFile(t, path, 2*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		must(t, os.Truncate(path, 0))
		refuseAll(t, slices.DeleteFunc(calls.List(), func(c calls.Call) bool {
			return c.Name != "madvise(MADV_POPULATE_READ)" && c.Name != "madvise(MADV_POPULATE_WRITE)"
		}), unix.EPERM)
		for range rounds {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for _, a := range regions {
						if err := hangLoad(a, 0, len(a.memory)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			closeBusy(t, regions[1].region.Rearm)
		}
		faults := 0
		for _, touch := range []func(){func() { wordAt(t, own, 0) }, func() { own[pageSize] = 1 }} {
			func() {
				defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
				defer func() {
					if recover() != nil {
						faults++
					}
				}()
				touch()
			}()
		}
		if faults != 2 {
			t.Errorf("%d of 2 touches behind the end of the file faulted", faults)
		}
		t.Logf("seen: %d rounds, and the program's own faults", rounds)
	})
}

// clockWithoutCall reports whether the clock can be read in the vDSO, without clock_gettime(2): an emulator may have a clock that only the kernel
// reads (vdso_clock_mode, include/linux/clocksource.h).
func clockWithoutCall(t *testing.T) bool {
	t.Helper()
	name, err := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	must(t, err)
	return !slices.Contains([]string{"acpi_pm", "hpet", "jiffies", "refined-jiffies"}, strings.TrimSpace(string(name)))
}
