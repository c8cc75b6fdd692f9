package serve

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// served is what came from a VM.
type served struct {
	fd     *uffd.FD
	layout *Layout
	whole  uffd.Range
	pid    int
}

var size = os.Getpagesize()

// serveVM is uffdtest.ServeVM with what the VM sends.
func serveVM(t *testing.T, handle func(s served)) {
	t.Helper()
	uffdtest.ServeVM(t, func(socket *os.File) {
		var hello [1000]byte
		var mappings []uffdtest.Mapping
		fd, n, err := uffd.Receive(socket, hello[:])
		if err != nil {
			t.Errorf("the VM's descriptor: %v", err)
			return
		}
		defer fd.Close()
		if err := json.Unmarshal(hello[:n], &mappings); err != nil || len(mappings) != 1 {
			t.Errorf("%q: %v", hello[:n], err)
			return
		}
		m := mappings[0]
		r := uffd.Range{Start: uffd.Addr(m.Base), End: uffd.Addr(m.Base + m.Size)}
		layout, err := NewLayout(Area{Range: r, Contents: uffdtest.Snapshot(int(m.Size) / size)})
		if err != nil {
			t.Error(err)
			return
		}
		handle(served{fd, layout, r, m.Pid})
	})
}

// TestRestore: what the child reads is its snapshot, until it discards, moves and unmaps. The end of the child is told
// by a pidfd, or asked for.
func TestRestore(t *testing.T) {
	uffdtest.NeedEvents(t)
	for _, end := range []string{"pidfd", "asked"} {
		t.Run(end, func(t *testing.T) {
			if uffdtest.IsVM() {
				restored(t)
				return
			}
			serveVM(t, func(s served) { restore(t, s, end == "pidfd") })
		})
	}
}

func restored(t *testing.T) {
	v := uffdtest.StartVM(t, 512)
	v.TouchAll("restored", v.Pages(0, 384), func(n int) uint64 { return uint64(n + 1) })
	v.Discard(v.Pages(0, 64))
	v.TouchAll("discarded", v.Pages(0, 64), func(int) uint64 { return 0 })
	moved := v.Move(v.Pages(448, 512)) // never touched before
	v.TouchAll("moved", moved, func(n int) uint64 { return uint64(448 + n + 1) })
	v.Discard(moved)
	v.TouchAll("moved and discarded", moved, func(int) uint64 { return 0 })
	// Of what was never touched the child has its own copy of the snapshot, and the parent keeps its own.
	v.Fork(v.Pages(384, 385), v.Expect(v.Mem, 384, 0), v.Expect(v.Mem, 385, 386), v.Expect(v.Mem, 0, 0), v.Expect(v.Mem, 100, 101), v.Expect(moved, 1, 0))
	if _, _, errno := unix.Syscall(unix.SYS_MUNMAP, uintptr(uffd.RangeOf(v.Pages(64, 80)).Start), uintptr(16*size), 0); errno != 0 {
		t.Errorf("munmap: %v", errno)
	}
	v.TouchAll("what was left", v.Pages(384, 448), func(n int) uint64 { return uint64(384 + n + 1) })
}

func restore(t *testing.T, s served, byPidfd bool) {
	var opts []Option
	if byPidfd {
		pidfd, err := unix.PidfdOpen(s.pid, 0)
		if err != nil {
			t.Errorf("pidfd_open: %v", err)
			return
		}
		defer unix.Close(pidfd)
		opts = append(opts, WithProcess(pidfd))
	}
	var events, children atomic.Int32
	opts = append(opts, WithObserver(func(uffd.Msg) { events.Add(1) }), WithChild(func(*Server) { children.Add(1) }))
	server := New(s.fd, s.layout, opts...)
	if err := server.Run(t.Context()); err != nil {
		t.Error(err)
	}
	stats := server.Stats()
	if stats.Faults < 512 || stats.Filled < 512*uint64(uffd.PageSize()) || stats.Prefetched != 0 {
		t.Errorf("%+v", stats)
	}
	forks := s.fd.Enabled().Has(uffd.FeatureEventFork)
	if forks && children.Load() != 1 {
		t.Errorf("%d children", children.Load())
	}
	if !found(server, s.whole.Start+uffd.Addr(100*uffd.PageSize())) || found(server, s.whole.Start+uffd.Addr(70*uffd.PageSize())) {
		t.Error("the layout has what was unmapped, or lacks what was not")
	}
}

func found(s *Server, at uffd.Addr) bool {
	_, ok := s.Layout().Page(at)
	return ok
}

// TestEventsOfABatchComeFirst: a thread waits for a page that another one discards, and one batch has both messages, the
// fault before the event, as read(2) orders them. What is filled then is what the discard left.
func TestEventsOfABatchComeFirst(t *testing.T) {
	uffdtest.NeedEvents(t)
	if uffdtest.IsVM() {
		v := uffdtest.StartVM(t, 2)
		var toucher sync.WaitGroup
		toucher.Go(func() { uffdtest.Touch(v.Mem) })
		time.Sleep(10 * time.Millisecond) // so that the fault is there before the discard
		v.Discard(v.Pages(0, 1))
		toucher.Wait()
		v.Check("discarded", v.Mem, 0, 0)
		v.Check("not discarded", v.Mem, 1, 2)
		return
	}
	serveVM(t, func(s served) {
		var batch []uffd.Msg
		var msgs [4]uffd.Msg
		for events, faults := 0, 0; events == 0 || faults == 0; {
			n, err := s.fd.Read(msgs[:])
			if err != nil {
				t.Error(err)
				return
			}
			for _, m := range msgs[:n] {
				if m.IsPagefault() {
					batch = append([]uffd.Msg{m}, batch...)
					faults++
				} else {
					batch = append(batch, m)
					events++
				}
			}
		}
		server := New(s.fd, s.layout)
		if err := server.handle(t.Context(), batch); err != nil {
			t.Error(err)
		}
		if err := server.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// racePages is how many pages each round of the races has.
const racePages = 8

// TestRaces is the rule of the non-cooperative mode: what was discarded is never seen again, and what was not is never
// lost, while threads touch, discard, move and fork, and a prefetcher fills the same pages.
func TestRaces(t *testing.T) {
	uffdtest.NeedEvents(t)
	for _, how := range []string{"touches", "prefetch"} {
		t.Run(how, func(t *testing.T) {
			if uffdtest.IsVM() {
				rounds := testproc.Times(300, 5000)
				races(t, uffdtest.StartVM(t, rounds*racePages), rounds)
				return
			}
			serveVM(t, func(s served) { serveRaces(t, s, how == "prefetch") })
		})
	}
}

func races(t *testing.T, v *uffdtest.VM, rounds int) {
	last := v.Pages((rounds-1)*racePages, rounds*racePages)
	var forks sync.WaitGroup
	forks.Go(func() {
		for range 10 {
			v.Fork(last[:size], v.Expect(last, 0, 0), v.Expect(last, 1, uint64((rounds-1)*racePages+2)))
		}
	})
	for round := range rounds - 1 { // the last one's pages are for the forks
		mem := v.Pages(round*racePages, (round+1)*racePages)
		half := racePages / 2 * size
		var touchers sync.WaitGroup
		for k := range racePages {
			touchers.Go(func() { uffdtest.Touch(mem[k*size:]) })
		}
		// The more of them wait when the discard comes, the more often one read(2) has both.
		if round%2 == 0 {
			runtime.Gosched()
		} else {
			time.Sleep(20 * time.Microsecond)
		}
		v.Discard(mem[:half])
		touchers.Wait()
		for n := range racePages / 2 {
			if got := mem[n*size]; got != 0 {
				t.Errorf("round %d: page %d holds %d after its discard", round, n, got)
			}
		}
		moved := v.Move(mem[half:])
		for n := range racePages / 2 {
			v.Check("moved", moved, n, uint64(round*racePages+racePages/2+n+1))
		}
	}
	forks.Wait()
}

func serveRaces(t *testing.T, s served, prefetch bool) {
	var next atomic.Uintptr // where the pages of the next round begin
	next.Store(uintptr(s.whole.Start))
	server := New(s.fd, s.layout, WithObserver(func(m uffd.Msg) {
		if m.Event == uffd.EventRemap {
			from, _ := m.Remap()
			next.Store(uintptr(from.End))
		}
	}))
	ctx, cancel := context.WithCancel(t.Context())
	var ahead sync.WaitGroup
	if prefetch {
		ahead.Go(func() {
			for ctx.Err() == nil {
				start := uffd.Addr(next.Load())
				_, err := server.Prefetch(ctx, uffd.Range{Start: start, End: start + racePages*uffd.Addr(uffd.PageSize())})
				if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, uffd.ErrGone) {
					t.Errorf("prefetch: %v", err)
					return
				}
			}
		})
	}
	if err := server.Run(t.Context()); err != nil {
		t.Error(err)
	}
	cancel()
	ahead.Wait()
	t.Logf("%+v", server.Stats())
}

// TestTakeOver: a handler goes away in the middle, with messages that it has read, and the next one finds all waiters.
func TestTakeOver(t *testing.T) {
	uffdtest.NeedEvents(t)
	if uffdtest.IsVM() {
		v := uffdtest.StartVM(t, 2000)
		v.TouchAll("restored", v.Mem, func(n int) uint64 { return uint64(n + 1) })
		return
	}
	serveVM(t, func(s served) {
		handlers := 0
		for ended := false; !ended; handlers++ {
			if handlers < 20 {
				// As a handler that dies: it reads messages and answers none.
				if n, err := s.fd.Read(make([]uffd.Msg, 8)); n == 0 || err != nil {
					t.Errorf("%d messages, %v", n, err)
					return
				}
			}
			server := New(s.fd, s.layout)
			ctx, cancel := context.WithCancel(t.Context())
			if handlers < 20 {
				go func() {
					for server.Stats().Faults < 50 && ctx.Err() == nil {
						time.Sleep(50 * time.Microsecond)
					}
					cancel()
				}()
			}
			err := server.Run(ctx)
			cancel()
			s.layout = server.Layout()
			if ended = err == nil; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
				return
			}
		}
		if handlers < 2 {
			t.Errorf("%d handlers", handlers)
		}
	})
}

// A descriptor that is closed while it is served ends the server.
func TestClosedWhileServed(t *testing.T) {
	fd, err := uffd.Open()
	if errors.Is(err, uffd.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	layout, err := NewLayout()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	server := New(fd, layout)
	ended := make(chan error)
	go func() { ended <- server.Run(ctx) }()
	cancel(reason)
	if err := <-ended; !errors.Is(err, reason) {
		t.Errorf("cancelled: %v", err)
	}
	if err := fd.Close(); err != nil {
		t.Fatal(err)
	}
	if err := server.Run(t.Context()); !errors.Is(err, uffd.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// What is not a missing page has an answer of its own, and a page copied to its place is none.
func TestOtherFaultsEndTheRun(t *testing.T) {
	layout, err := NewLayout(Area{Range: uffd.Range{Start: 0x10000, End: 0x20000}})
	if err != nil {
		t.Fatal(err)
	}
	server := New(nil, layout)
	for _, flags := range []uffd.PagefaultFlags{uffd.PagefaultFlagWP | uffd.PagefaultFlagWrite, uffd.PagefaultFlagMinor, uffd.PagefaultFlagRWP} {
		m := uffd.Msg{Event: uffd.EventPagefault, Arg: [3]uint64{uint64(flags), 0x10000}}
		if err := server.handle(t.Context(), []uffd.Msg{m}); !errors.Is(err, uffd.ErrInvalid) {
			t.Errorf("%v: %v", flags, err)
		}
	}
}
