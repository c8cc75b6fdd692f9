package uffd

import (
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const stressEnv = "FIRSTTOUCH_STRESS"

// stressTime is how long the stress row goes on for each kind of memory.
func stressTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(stressEnv)); err == nil {
		return d
	}
	return 100 * time.Millisecond
}

// stressWord is what the threads of the stress row share. It is in the memory that faults.
type stressWord struct{ lock, count atomic.Uint32 }

const stressThreads = 3

// stress is one kind's memory, and what its pages have to hold.
type stress struct {
	a      area
	source []byte // the pages as the last bounce left them
	want   []atomic.Uint32
	exist  atomic.Int64 // fills that met a page that was there
}

// conformStress has threads count in pages under locks that are in the pages, while a reader and a
// copier race each other to fill them. Then all is taken away, and begins anew with what was there.
func conformStress(t *testing.T, kind MemoryKind) {
	mode := ModeMissing
	if _, err := HaveRegister(kind, ModeMissing|ModeWP, 0); err == nil {
		mode |= ModeWP
	}
	s := &stress{a: newArea(t, kind, 6)}
	if !s.a.huge() {
		s.a = newArea(t, kind, 64)
	}
	if err := unix.Madvise(s.a.mem, s.a.discard()); err != nil {
		t.Skipf("%v: madvise of %v (huge pages: Linux 5.18): %v", ErrNotSupported, kind, err)
	}
	s.source, s.want = make([]byte, len(s.a.mem)), make([]atomic.Uint32, s.a.pages())
	bounces := 0
	for end := time.Now().Add(stressTime()); bounces < 4 || time.Now().Before(end); bounces++ {
		s.bounce(t, bounces, mode)
		if t.Failed() {
			t.Fatalf("in bounce %d", bounces)
		}
	}
	if s.exist.Load() == 0 {
		t.Error("no fill met a page that was there, so none was tried")
	}
	t.Logf("%d bounces, %d fills met a page that was there", bounces, s.exist.Load())
}

func (s *stress) bounce(t *testing.T, number int, mode RegisterMode) {
	t.Helper()
	opts := []Option{}
	if number%2 == 0 {
		opts = append(opts, WithNonblock())
	}
	fd := s.a.open(t, opts...)
	register(t, fd, s.a.mem, mode)
	var reader, workers sync.WaitGroup
	sentinel := newArea(t, MemoryAnonymous, 1) // its touch ends the reader
	register(t, fd, sentinel.mem, ModeMissing)
	reader.Go(func() { s.serve(t, fd, sentinel, number%2 == 0, mode) })
	for range stressThreads {
		workers.Go(s.work)
	}
	workers.Go(func() {
		for n := range s.a.pages() {
			s.fill(t, fd, s.a.pageRange(n), mode)
		}
	})
	workers.Wait()
	if sentinel.mem[0] != 0 {
		t.Error("the sentinel is not of zeros")
	}
	reader.Wait()
	for n := range s.a.pages() {
		if got, want := s.word(n).count.Load(), s.want[n].Load(); got != want {
			t.Errorf("page %d counts %d, and %d were added", n, got, want)
		}
	}
	copy(s.source, s.a.mem)
	noErr(t, "close", fd.Close())
	s.discard(t)
	sentinel.unmap(t)
}

// word is in the middle of page n.
func (s *stress) word(n int) *stressWord {
	return (*stressWord)(unsafe.Pointer(&s.a.page(n)[s.a.size/2]))
}

// work counts in pages in an order of its own.
func (s *stress) work() {
	for range 4 * s.a.pages() {
		n := rand.IntN(s.a.pages())
		w := s.word(n)
		for !w.lock.CompareAndSwap(0, 1) {
			unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		}
		// Not one atomic step: a page that was replaced in between would lose it.
		w.count.Store(w.count.Load() + 1)
		w.lock.Store(0)
		s.want[n].Add(1)
	}
}

// fill fills a page that someone else may fill at this moment, and once more for certain.
func (s *stress) fill(t *testing.T, fd *FD, page Range, mode RegisterMode) {
	arg := copyArg{Dst: uint64(page.Start), Len: uint64(page.Len())}
	from := page.Start - s.a.rng().Start
	arg.Src = uint64(RangeOf(s.source).Start + from)
	if mode&ModeWP != 0 {
		arg.Mode = CopyModeWP
	}
	for range 2 {
		switch errno := fd.rawCopy(&arg); errno {
		case 0:
		case unix.EEXIST:
			s.exist.Add(1)
			noErr(t, "wake", fd.Wake(page))
		default:
			t.Errorf("copy: %v with %d", errno, arg.Copy)
		}
	}
}

// serve reads until the sentinel is touched: in the kernel, or behind poll.
func (s *stress) serve(t *testing.T, fd *FD, sentinel area, poll bool, mode RegisterMode) {
	msgs := make([]Msg, 4)
	for {
		n, err := waitRead(fd, msgs, poll)
		if err != nil {
			t.Errorf("read: %v", err)
			return
		}
		for i := range msgs[:n] {
			m := &msgs[i]
			switch {
			case sentinel.rng().Contains(m.Address()):
				_, err := fd.Zeropage(sentinel.rng(), 0)
				noErr(t, "sentinel", err)
				return
			case m.Flags()&PagefaultFlagWP != 0:
				noErr(t, "unprotect", fd.Unprotect(s.a.pageAt(m)))
			default:
				s.fill(t, fd, s.a.pageAt(m), mode)
			}
		}
	}
}

// waitRead is read(2) on a blocking descriptor, or poll(2) and read(2).
func waitRead(fd *FD, msgs []Msg, poll bool) (int, error) {
	for {
		if poll {
			fds := []unix.PollFd{{Fd: int32(fd.Fd()), Events: unix.POLLIN}}
			if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
				return 0, err
			}
		}
		n, err := unix.Read(fd.Fd(), msgBytes(msgs))
		if err == unix.EAGAIN || err == unix.EINTR { // the fault was resolved meanwhile
			continue
		}
		return max(n, 0) / msgSize, err
	}
}

// discard takes all pages away.
func (s *stress) discard(t *testing.T) {
	t.Helper()
	if err := unix.Madvise(s.a.mem, s.a.discard()); err != nil {
		t.Fatalf("discard: %v", err)
	}
}
