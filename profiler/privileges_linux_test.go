//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What a process gives up after the start, the engine's threads keep: Go's Setuid, like the C library's, does not
// know them. The profile says so, and a profiler that is started afterwards has threads without it.
func TestPrivilegeDrop(t *testing.T) {
	inChild(t, "TestPrivilegeDrop", "all", nil, func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("only root can become another user")
		}
		p := newProfiler(t)
		a := newArena(t, p, "arena", 8*pageSize)
		if err := syscall.Setgroups(nil); err != nil {
			t.Fatal(err)
		}
		for _, set := range []func(int) error{syscall.Setgid, syscall.Setuid} {
			if err := set(nobody); err != nil {
				t.Fatal(err)
			}
		}
		kept, dropped := usersOf(t)
		if kept != engineThreads || dropped == 0 {
			t.Errorf("%d threads are root still, %d are not: want the engine's %d", kept, dropped, engineThreads)
		}
		a.Bytes()[0] = 1
		s := p.Snapshot()
		if !slices.ContainsFunc(s.Stats.Notes, func(n string) bool { return strings.Contains(n, "start the profiler after the change") }) {
			t.Errorf("notes %q do not tell", s.Stats.Notes)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := New(); err == nil || !strings.Contains(err.Error(), "PR_SET_DUMPABLE") {
			t.Fatalf("after the change: %v, want what to do", err)
		}
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		q := newProfiler(t)
		newArena(t, q, "arena", 8*pageSize).Bytes()[0] = 1
		if kept, _ := usersOf(t); kept != 0 {
			t.Errorf("%d threads are root after a new start", kept)
		}
		if s := q.Snapshot(); s.Stats.Faults != 1 {
			t.Errorf("%d faults of the new profiler", s.Stats.Faults)
		}
		t.Logf("seen: %d threads of the engine keep user 0 after setuid, and a note says so; none after a new start", kept)
	})
}

const engineThreads = 13

// usersOf counts the threads that are root and those that are not of this process.
func usersOf(t *testing.T) (root, other int) {
	t.Helper()
	for _, tid := range threads(t) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", tid))
		if err != nil {
			continue // it ended
		}
		_, rest, _ := strings.Cut(string(b), "Uid:\t")
		if strings.HasPrefix(rest, "0\t") {
			root++
		} else {
			other++
		}
	}
	return root, other
}
