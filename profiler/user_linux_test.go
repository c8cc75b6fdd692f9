//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// nobody is a user without any privileges.
const nobody = 65534

// What holds for root holds for an ordinary user, but for system calls where the kernel serves user
// mode only.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can start a process as another user; the other tests run as an ordinary user already")
	}
	for _, name := range []string{
		"TestEveryWayOfTouching", "TestOrderOverThreads", "TestTinyRingInAStorm", "TestGranules", "TestWindows",
		"TestStackSamplingKeepsCountsExact", "TestSources", "TestUserModeOnly",
	} {
		t.Run(name, func(t *testing.T) {
			testproc.Run(t, name, nil, 2*time.Minute, testproc.AsUser(nobody))
		})
	}
}

// In user mode only, a system call that is given memory not yet touched fails, and the memory stays
// as it is: armed, and touched once it is touched.
func TestUserModeOnly(t *testing.T) {
	p := newProfiler(t)
	if !p.Snapshot().Stats.UserModeOnly {
		t.Skip("Stats.UserModeOnly is false: this user's system calls are served too")
	}
	a := newArena(t, p, "arena", 2*pageSize)
	w := newToucher(t)
	for i := range ways {
		if !ways[i].system {
			continue
		}
		o := order{&ways[i], a, a.Bytes(), i % 2 * pageSize, i%2*pageSize + 64}
		w.orders <- o
		if m := <-w.done; !errors.Is(m.err, unix.EFAULT) {
			t.Errorf("%s: %v, want EFAULT", ways[i].name, m.err)
		}
		if n := p.Snapshot().Regions[0].Faults; n != 0 {
			t.Errorf("%s: %d faults", ways[i].name, n)
		}
	}
	for i := range ways {
		if ways[i].system {
			o := order{&ways[0], a, a.Bytes(), i % 2 * pageSize, i%2*pageSize + 64}
			w.touch(t, o)
			o.way = &ways[i]
			w.touch(t, o)
		}
	}
	if n := p.Snapshot().Regions[0].Faults; n != 2 {
		t.Errorf("%d faults, want 2", n)
	}
}
