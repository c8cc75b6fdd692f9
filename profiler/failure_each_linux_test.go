//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/calls"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// refuseAll makes calls fail with errno from now on, in every thread of the process.
func refuseAll(t *testing.T, list []calls.Call, errno unix.Errno) {
	t.Helper()
	const load, equal, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	var filter []unix.SockFilter
	for _, c := range list {
		number, command := c.Number()
		filter = append(filter, unix.SockFilter{Code: load, K: 0})
		var at uint32 // where the command is, see refuseWhere
		switch number {
		case unix.SYS_IOCTL:
			at = 24
		case unix.SYS_MADVISE:
			at = 32
		}
		if at == 0 {
			filter = append(filter, unix.SockFilter{Code: equal, K: uint32(number), Jf: 1})
		} else {
			filter = append(filter, unix.SockFilter{Code: equal, K: uint32(number), Jf: 3},
				unix.SockFilter{Code: load, K: at}, unix.SockFilter{Code: equal, K: uint32(command), Jf: 1})
		}
		filter = append(filter, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	install(t, append(filter, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}))
}

// spareThreads has the runtime make threads, which it keeps, so that it need not make any for some time.
func spareThreads() {
	const n = 32
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { unix.Nanosleep(&unix.Timespec{Nsec: 20e6}, nil) })
	}
	wg.Wait()
}

// install has all threads of the process take a filter.
func install(t *testing.T, filter []unix.SockFilter) {
	t.Helper()
	must(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	thread, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&prog)))
	if e == unix.ENOSYS || e == unix.EINVAL {
		t.Skipf("this kernel has no seccomp filters: %v", e)
	}
	if e != 0 || thread != 0 {
		t.Fatalf("seccomp: %v, thread %d did not take the filter", e, thread)
	}
}

// refuseInCore does the core of what a service does while calls are refused, and wants contents to be right, and every
// error to say which of the calls it is about.
func refuseInCore(t *testing.T, list []calls.Call, errno unix.Errno, before bool) {
	t.Helper()
	named := func(text string) bool {
		return slices.ContainsFunc(list, func(c calls.Call) bool {
			_, command, _ := strings.Cut(strings.TrimSuffix(c.Name, ")"), "(")
			return strings.Contains(text, c.System()+" ") || strings.Contains(text, c.Name) || command != "" && strings.Contains(text, command)
		})
	}
	if before {
		spareThreads() // the C library makes new ones with mprotect(2)
		refuseAll(t, list, errno)
	}
	p, err := New(WithDelivery(testDelivery()), WithFailingSystemCalls(), WithStopLimit(10*time.Second)) // see newProfiler
	needed := func(c calls.Call) bool {                                                                  // delivery by signal starts without a userfaultfd
		return c.Needed && (testDelivery() == DeliveryThread || !strings.HasPrefix(c.Name, "ioctl(UFFDIO_"))
	}
	if before && slices.ContainsFunc(list, needed) {
		if p != nil || !errors.Is(err, ErrNotSupported) || !errors.Is(err, errno) {
			t.Fatalf("started, or failed otherwise: %v", err)
		}
		for _, c := range list {
			if needed(c) && !strings.Contains(err.Error(), c.Name) {
				t.Errorf("%v does not name %s", err, c.Name)
			}
		}
		t.Logf("seen: %v", err)
		return
	}
	if err != nil {
		if !before || !named(err.Error()) {
			t.Fatal(err)
		}
		t.Logf("seen: %v", err)
		return
	}
	var c core
	c.attach(t, p)
	if !before {
		refuseAll(t, list, errno)
	}
	c.use(t, p)
	c.checkContents(t, "armed")
	s := p.Snapshot()
	for _, call := range list {
		if !call.Mute() && !notesSay(s, call.Name, errno.Error(), "SECURITY.md") {
			t.Errorf("no note names %s: %q", call.Name, s.Stats.Notes)
		}
	}
	c.calm(p.Close)
	c.checkContents(t, "closed")
	for _, err := range c.errs {
		for _, part := range parts(err) {
			if !named(part) {
				t.Errorf("an error names no call that is refused: %s", part)
			}
		}
	}
	t.Logf("seen: %d faults, %d stacks missed, %d regions, errors %q", s.Stats.Faults, s.Stats.StacksMissed, len(c.regions), c.errs)
	leave(t)
}

// parts are the errors that were joined to one.
func parts(err error) []string { return strings.Split(err.Error(), "\n") }

var refusedErrnos = []struct {
	name  string
	errno unix.Errno
}{{"EPERM", unix.EPERM}, {"ENOSYS", unix.ENOSYS}}

var refusedTimes = []struct {
	name   string
	before bool
}{{"from the start", true}, {"later", false}}

// Each system call that only the engine makes is refused, from the start or later: contents are right, nothing hangs,
// and what does not work says which call is refused.
func TestEachCallRefused(t *testing.T) {
	testproc.NeedLong(t, "some 300 processes, each with a filter that refuses one call")
	for _, c := range calls.List() {
		for _, e := range refusedErrnos {
			for _, when := range refusedTimes {
				inChildren(t, "TestEachCallRefused", c.Name+", "+e.name+" "+when.name, nil, func(t *testing.T) {
					refuseInCore(t, []calls.Call{c}, e.errno, when.before)
				})
			}
		}
	}
}

// So does refusing all at once: those without which the engine does not start, and all others, also later.
func TestAllCallsRefused(t *testing.T) {
	var needed, others []calls.Call
	for _, c := range calls.List() {
		if c.Needed {
			needed = append(needed, c)
		} else {
			others = append(others, c)
		}
	}
	for _, e := range refusedErrnos {
		for _, set := range []struct {
			name string
			list []calls.Call
		}{{"needed", needed}, {"others", others}} {
			for _, when := range refusedTimes {
				if set.name == "needed" && !when.before {
					continue // each alone is tried above, and all of them in TestNobodyCanBeWoken
				}
				inChildren(t, "TestAllCallsRefused", set.name+", "+e.name+" "+when.name, nil, func(t *testing.T) {
					refuseInCore(t, set.list, e.errno, when.before)
				})
			}
		}
	}
}
