//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/perfevents"
	"golang.org/x/sys/unix"
)

// TestObserveHazards: what would harm a service that is observed, or what is refused, one case a process.
func TestObserveHazards(t *testing.T) {
	aside(t)
	for name, body := range map[string]func(t *testing.T){
		"storm": observedStorm, "refused": observedRefused, "refused later": observedRefusedLater,
		"descriptors": observedDescriptors, "closed behind it": observedClosed, "locked memory": observedLocked,
	} {
		inChild(t, "TestObserveHazards", name, nil, body)
	}
}

// observedStorm: threads that come and go, mappings that come, move and go, children, garbage collections and signals, while faults
// fill the buffers and profilers start and end. Contents are right, nothing hangs, and nothing is counted twice.
func observedStorm(t *testing.T) {
	observing(t) // or skip
	path := newFile(t, 256*pageSize)
	want := contents(256 * pageSize)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	often := func(f func()) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f()
				}
			}
		})
	}
	for range 4 {
		often(func() {
			m := mapFile(t, path, len(want), unix.PROT_READ, unix.MAP_SHARED)
			for i := 0; i < len(want); i += pageSize {
				if m[i] != want[i] {
					t.Errorf("page %d has other contents", i/pageSize)
					return
				}
			}
		})
	}
	often(func() {
		fresh, err := newPlain(64 * pageSize)
		if err != nil {
			t.Error(err)
			return
		}
		for i := 0; i < len(fresh); i += pageSize {
			fresh[i] = 1
		}
		unmap(fresh)
	})
	often(func() {
		done := make(chan struct{})
		go func() { runtime.LockOSThread(); close(done) }() // its thread ends
		<-done
	})
	often(func() { runtime.GC(); time.Sleep(5 * time.Millisecond) })
	often(func() { unix.Kill(unix.Getpid(), unix.SIGURG); time.Sleep(time.Millisecond) })
	often(func() {
		if err := exec.Command("/bin/true").Run(); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Millisecond)
	})
	for round := range 5 {
		if round > 0 {
			observing(t)
		}
		time.Sleep(50 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
}

func observedRefused(t *testing.T) {
	refuseWhere(t, unix.SYS_PERF_EVENT_OPEN, anyArgument, 0, unix.EPERM)
	if _, err := Observable(); err == nil {
		t.Error("observable")
	} else {
		wantError(t, "refused", err, ErrNotSupported, "perf_event_paranoid", "seccomp", "CAP_PERFMON")
	}
	_, err := New(WithDelivery(DeliveryObserve))
	wantError(t, "refused", err, ErrNotSupported, "perf_event_paranoid", "seccomp")
	wantError(t, "refused", err, unix.EPERM)
}

// observedRefusedLater: calls that are refused after the start cost knowledge, and nothing else; no loop runs empty.
func observedRefusedLater(t *testing.T) {
	p := observing(t)
	a, err := p.NewArena("arena", 64*pageSize)
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range []uint32{unix.SYS_PPOLL, unix.SYS_PROCESS_VM_READV} {
		refuseWhere(t, call, anyArgument, 0, unix.EPERM)
	}
	if clockWithoutCall(t) {
		refuseWhere(t, unix.SYS_CLOCK_GETTIME, anyArgument, 0, unix.EPERM)
	}
	s := p.StartSpan([16]byte{1}, [8]byte{1})
	for i := range 32 {
		a.Bytes()[i*pageSize] = 1
	}
	end := s.End()
	s.Release()
	before := processorTime()
	time.Sleep(500 * time.Millisecond)
	used := processorTime() - before
	snap := p.Snapshot()
	if snap.Stats.Records != 32 || end.Faults != 32 {
		t.Errorf("%d records, %d in the span, want 32", snap.Stats.Records, end.Faults)
	}
	if notes := strings.Join(snap.Stats.Notes, "\n"); !strings.Contains(notes, "process_vm_readv") {
		t.Errorf("notes %s", notes)
	}
	if used > 400*time.Millisecond && !raceEnabled { // whose memory is fresh all the time, so that to look at faults makes others
		t.Errorf("%v of processor time in half a second in which nothing happens", used)
	}
}

// observedDescriptors: a process with few descriptors keeps half of them, and the error says what it takes.
func observedDescriptors(t *testing.T) {
	observing(t).Close()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 24, Max: 24}); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(WithDelivery(DeliveryObserve))
	wantError(t, "few descriptors", err, ErrNotSupported, "RLIMIT_NOFILE", "earlier")
	now, err := os.ReadDir("/proc/self/fd")
	if err != nil || len(now) != len(before) {
		t.Errorf("%v: %d descriptors before, %d now", err, len(before), len(now))
	}
}

// observedClosed: a program that closes all descriptors is told that it is observed no more; it keeps those that it opens then.
func observedClosed(t *testing.T) {
	p := observing(t)
	for _, e := range p.obs.descriptors() {
		unix.Close(e)
	}
	var own []*os.File
	for range 64 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		own = append(own, f)
	}
	if n := p.Snapshot().Stats.Notes; !strings.Contains(n[0], "closed by the application") {
		t.Errorf("notes %q", n)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for _, f := range own {
		if err := f.Close(); err != nil {
			t.Errorf("a descriptor of the program: %v", err)
		}
	}
}

// observedLocked: what an ordinary user may lock bounds the buffers of all that are open; they become smaller, and then there is an error.
func observedLocked(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	observing(t).Close()
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{}); err != nil {
		t.Fatal(err)
	}
	const user = 65533 // of whom nobody else is
	for _, err := range []error{unix.Setgroups(nil), unix.Setgid(user), unix.Setuid(user), unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/perf_event_paranoid"); err != nil || strings.TrimSpace(string(text)) > "2" {
		t.Skipf("perf events cannot be had: perf_event_paranoid is %s (%v): only root may", text, err) // a patch of Debian's
	}
	var sizes []int
	take := func(bytes int) bool { // what others of this user have
		r, err := perfevents.Open(perfevents.Config{Buffer: bytes})
		if err != nil {
			return false
		}
		t.Cleanup(func() { r.Close() })
		sizes = append(sizes, r.Buffer())
		return true
	}
	if !take(256 << 10) {
		t.Fatal("no buffers of 256 KiB")
	}
	p := observing(t) // in what is left
	sizes = append(sizes, p.obs.reader.Buffer())
	if a, err := p.NewArena("arena", pageSize); err != nil {
		t.Error(err)
	} else if a.Bytes()[0] = 1; p.Snapshot().Stats.Records != 1 || sizes[1] >= 512<<10 {
		t.Errorf("%d records, want 1, in buffers of %d bytes", p.Snapshot().Stats.Records, sizes[1])
	}
	for take(32 << 10) {
	}
	_, err := New(WithDelivery(DeliveryObserve))
	wantError(t, "no room", err, ErrNotSupported, "perf_event_mlock_kb", "RLIMIT_MEMLOCK")
	t.Logf("buffers of %v bytes, then refused", sizes)
	if errors.Is(unix.Setuid(0), nil) {
		t.Error("root again")
	}
}
