//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// lockCall locks memory of the process.
type lockCall struct {
	name  string
	every int  // moment at which it is always tried; at the others where what takes long is wanted
	fills bool // it fills all memory of the process
	lock  func(memory []*lockable) error
}

func mlockall(flags int) func([]*lockable) error {
	return func([]*lockable) error { return unix.Mlockall(flags) }
}

// each locks the regions' memory alone.
func each(lock func(b []byte) error) func([]*lockable) error {
	return func(memory []*lockable) error {
		var errs []error
		for _, m := range memory {
			if m.b != nil {
				errs = append(errs, lock(m.b))
			}
		}
		return errors.Join(errs...)
	}
}

const mclCurrent, mclFuture, mclOnfault = unix.MCL_CURRENT, unix.MCL_FUTURE, unix.MCL_ONFAULT

var lockCalls = []lockCall{
	{"MCL_CURRENT", 2, true, mlockall(mclCurrent)},
	{"MCL_FUTURE", 0, true, mlockall(mclFuture)}, // all that is mapped later
	{"MCL_CURRENT and MCL_FUTURE", 4, true, mlockall(mclCurrent | mclFuture)},
	{"MCL_CURRENT, MCL_FUTURE and MCL_ONFAULT", 1, false, mlockall(mclCurrent | mclFuture | mclOnfault)},
	{"mlock", 3, false, each(unix.Mlock)},
	{"mlock2 with MLOCK_ONFAULT", 2, false, each(func(b []byte) error { return mlock2(b, unix.MLOCK_ONFAULT) })},
}

func mlock2(b []byte, flags int) error {
	if _, _, n := unix.Syscall(unix.SYS_MLOCK2, addressOf(b), uintptr(len(b)), uintptr(flags)); n != 0 {
		return n
	}
	return nil
}

// Moments at which a lock is taken.
var lockMoments = []string{"before the profiler starts", "before anything is attached", "once all is attached", "once half is touched", "before all is armed again"}

const lockPages = 64

// lockable is a region of memory that is locked.
type lockable struct {
	name   string
	make   func(t *testing.T) (b []byte, path string) // nil for an arena
	attach func(p *Profiler, b []byte, path string) (*Region, error)

	b, want []byte
	path    string
	file    bool // what it holds is in the file too
	r       *Region
}

func lockables(t *testing.T) []*lockable {
	file := func(prot int) func(t *testing.T) ([]byte, string) {
		return func(t *testing.T) ([]byte, string) {
			path := newFile(t, lockPages*pageSize)
			return mapFile(t, path, lockPages*pageSize, prot, unix.MAP_SHARED), path
		}
	}
	attachFile := func(p *Profiler, _ []byte, path string) (*Region, error) { return p.AttachFile(path) }
	attachMemory := func(p *Profiler, b []byte, _ string) (*Region, error) { return p.AttachMemory("memory", b) }
	all := []*lockable{
		{name: "file", make: file(unix.PROT_READ | unix.PROT_WRITE), attach: attachFile, file: true},
		{name: "file that is read", make: file(unix.PROT_READ), attach: attachFile},
		{name: "arena", attach: func(p *Profiler, _ []byte, _ string) (*Region, error) {
			return p.NewArena("arena", lockPages*pageSize)
		}},
	}
	if testDelivery() == DeliveryThread {
		all = append(all,
			&lockable{name: "private memory", make: func(t *testing.T) ([]byte, string) { return mapMemory(t, lockPages), "" }, attach: attachMemory},
			&lockable{name: "memfd", make: func(t *testing.T) ([]byte, string) {
				fd := newMemfd(t, lockPages*pageSize, 0)
				b := mapKind(t, fd, lockPages*pageSize, unix.MAP_SHARED)
				copy(b, contents(len(b)))
				return b, fmt.Sprintf("/proc/self/fd/%d", fd)
			}, attach: attachFile})
	}
	return all
}

// locksOf tells of each mapping in a range whether it is locked, and of all whether any is.
func locksOf(t *testing.T, b []byte) (text string, some, all bool) {
	t.Helper()
	lo, hi := addressOf(b), addressOf(b)+uintptr(len(b))
	all = true
	must(t, eachSmap(func(m *smap) bool {
		if m.lo < hi && lo < m.hi {
			text += fmt.Sprintf("%x-%x%s; ", m.lo, m.hi, m.flags)
			some, all = some || m.has("lo"), all && m.has("lo")
		}
		return true
	}))
	return text, some, all
}

// checkLockedTotal holds the kernel's count of what is locked against the mappings.
func checkLockedTotal(t *testing.T, when string) {
	t.Helper()
	var before, sum, after int64
	for try := 0; try < 20; try++ { // the Go runtime may map memory between the looks
		before, sum = lockedTotal(t), 0
		must(t, eachSmap(func(m *smap) bool {
			if m.has("lo") {
				sum += int64(m.hi - m.lo)
			}
			return true
		}))
		if after = lockedTotal(t); sum == before || sum == after {
			return
		}
	}
	t.Errorf("%s: VmLck is %d, and mappings of %d bytes are locked", when, after, sum)
}

// lockedTotal is the kernel's count of what is locked, in bytes.
func lockedTotal(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	must(t, err)
	_, after, _ := bytes.Cut(status, []byte("VmLck:"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	return kibibytes(string(line))
}

// touchLocked touches a part of every region and checks what it holds.
func touchLocked(t *testing.T, when string, all []*lockable, from, to int) {
	t.Helper()
	for _, m := range all {
		if m.b == nil {
			continue
		}
		if m.make == nil && from == 0 && bytes.Count(m.want[:pageSize], []byte{0}) == pageSize {
			copy(m.want, contents(len(m.want)))
		}
		for i := from; i < to; i++ {
			if m.make == nil { // an arena begins with zeros
				copy(page(m.b, i), page(m.want, i))
			}
			if d := different(page(m.b, i), page(m.want, i)); d >= 0 {
				t.Fatalf("%s: %s: byte %d of page %d is %d, want %d", when, m.name, d, i, page(m.b, i)[d], page(m.want, i)[d])
			}
			if m.name != "file that is read" {
				page(m.b, i)[100]++
				page(m.want, i)[100]++
			}
		}
	}
}

// Whatever a process locks, and when, its memory holds what it should and stays locked, what is observed is exact, and
// what cannot be is refused with an error that says so.
func TestLockedProcess(t *testing.T) {
	aside(t)
	for _, c := range lockCalls {
		for at, when := range lockMoments {
			if at == 0 && strings.HasPrefix(c.name, "mlock") || at != c.every && !testproc.Long() {
				continue // the first is the same as before anything is attached
			}
			inChildren(t, "TestLockedProcess", c.name+" "+when, nil, func(t *testing.T) { lockProcess(t, c, at) })
		}
	}
}

// skipWithoutLocks skips where the process may not lock its memory.
func skipWithoutLocks(t *testing.T, fills bool) {
	t.Helper()
	if raceEnabled && fills {
		t.Skip("the race detector needs more memory than there is once all of its memory is filled")
	}
	if err := unix.Mlockall(mclCurrent | mclOnfault); err != nil {
		t.Skipf("memory cannot be locked here: %v", err)
	}
	must(t, unix.Munlockall())
}

func lockProcess(t *testing.T, c lockCall, at int) {
	skipWithoutLocks(t, c.fills)
	all := lockables(t)
	for _, m := range all {
		m.want = contents(lockPages * pageSize)
		if m.make == nil {
			clear(m.want)
		}
	}
	moment := func(i int) {
		t.Helper()
		if i != at {
			return
		}
		if err := c.lock(all); err != nil && !(testDelivery() == DeliverySignal && errors.Is(err, unix.ENOMEM)) {
			t.Fatalf("lock: %v", err)
		}
		checkLockedTotal(t, lockMoments[i])
	}
	moment(0)
	p := newProfiler(t, WithRescan(testRescan))
	if at < 2 && c.name == "MCL_FUTURE" { // after what is not locked has been mapped
		makeLocked(t, all)
		moment(1)
	} else {
		moment(1)
		makeLocked(t, all)
		if at == 1 && strings.HasPrefix(c.name, "mlock") {
			moment(1)
		}
	}
	wanted := make(map[*lockable]bool) // locked
	look := func() {
		t.Helper()
		for _, m := range all {
			if m.b != nil {
				_, wanted[m], _ = locksOf(t, m.b)
			}
		}
	}
	look()
	for _, m := range all {
		r, err := attached(func() (*Region, error) { return m.attach(p, m.b, m.path) })
		switch {
		case errors.Is(err, ErrLocked) && wanted[m] && strings.Contains(err.Error(), "munlock"):
			t.Logf("seen: %s: %v", m.name, err)
			continue
		case err != nil:
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		if m.r = r; m.make == nil {
			m.b = r.Bytes()
		}
	}
	moment(2)
	look()
	touchLocked(t, "attached", all, 0, lockPages/2)
	moment(3)
	look()
	touchLocked(t, "attached", all, lockPages/2, lockPages)
	s := p.Snapshot()
	for _, m := range all {
		if m.r != nil {
			if n := s.Regions[m.r.ID()].Faults; n != lockPages {
				t.Errorf("%s: %d faults of %d pages; %v", m.name, n, lockPages, s.Stats.Notes)
			}
		}
	}
	moment(4)
	look()
	again := func(when string, refuse bool) {
		t.Helper()
		before := p.Snapshot()
		armed := make(map[*lockable]bool)
		for _, m := range all {
			if m.r == nil {
				continue
			}
			err := patiently(m.r.Rearm)
			armed[m] = err == nil
			if err != nil && !(refuse && wanted[m] && errors.Is(err, ErrLocked) && strings.Contains(err.Error(), "munlock")) {
				t.Errorf("%s: %s: arm again: %v", when, m.name, err)
			}
		}
		touchLocked(t, when, all, 0, lockPages)
		s := p.Snapshot().Sub(before)
		for _, m := range all {
			want := uint64(0)
			if armed[m] {
				want = lockPages
			}
			if m.r != nil && s.Regions[m.r.ID()].Faults != want {
				t.Errorf("%s: %s: %d faults, want %d", when, m.name, s.Regions[m.r.ID()].Faults, want)
			}
		}
		for _, m := range all {
			if m.b == nil {
				continue
			}
			if text, some, all := locksOf(t, m.b); some != wanted[m] || all != wanted[m] {
				t.Errorf("%s: %s: to be locked: %v, and is %s", when, m.name, wanted[m], text)
			}
		}
		checkLockedTotal(t, when)
	}
	again("armed again while it is locked", true)
	for _, m := range all {
		if m.r != nil && m.make != nil {
			closeBusy(t, m.r.Close)
			m.r = nil
		}
	}
	again("given back", true) // the arena alone
	must(t, unix.Munlockall())
	look()
	again("unlocked", false)
	checkLockedTotal(t, "unlocked")
	for _, m := range all {
		if m.file {
			b, err := os.ReadFile(m.path)
			must(t, err)
			if i := different(b, m.want); i >= 0 {
				t.Errorf("byte %d of the file is %d, want %d", i, b[i], m.want[i])
			}
		}
	}
	if n := p.Snapshot().Stats; n.ResolveErrs != 0 {
		t.Errorf("%d resolves failed: %s", n.ResolveErrs, n.LastError)
	}
}

const testRescan = 10e6 // ns

func makeLocked(t *testing.T, all []*lockable) {
	for _, m := range all {
		if m.make != nil && m.b == nil {
			m.b, m.path = m.make(t)
		}
	}
}
