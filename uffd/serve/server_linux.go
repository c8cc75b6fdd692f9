package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firsttouch/firsttouch/internal/dense"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// batch is how many messages are read at once.
const batch = 64

// Server answers the faults of one descriptor.
type Server struct {
	fd  *uffd.FD
	cfg config

	// gate is held from before messages are read until their events are applied, and over each fill of a
	// prefetcher: a fill that was decided on before an event and made after it would bring back what
	// the event discarded.
	gate     sync.Mutex
	layout   *Layout
	deferred []uffd.Msg // faults whose fill has to be tried again
	msgs     [batch]uffd.Msg
	zeros    []byte // of the largest page of the layout
	replayed error  // why the journal of a handler before could not be followed

	dense    dense.Waiter // of Run
	children sync.WaitGroup
	failed   atomic.Pointer[error] // of a child

	faults, filled, prefetched, retried, stray, events atomic.Uint64
}

// New makes a server of a descriptor, which stays the caller's to close, after Run. The layout is the
// server's from then on. Events are followed as far as the descriptor has their features.
func New(fd *uffd.FD, layout *Layout, opts ...Option) *Server {
	s := &Server{fd: fd, layout: layout, cfg: config{process: -1}}
	for _, o := range opts {
		o(&s.cfg)
	}
	if s.cfg.journal != nil {
		s.replayed = s.cfg.journal.replay(layout)
	}
	var largest uintptr
	for _, a := range layout.areas {
		largest = max(largest, a.pageSize())
	}
	s.zeros = make([]byte, largest)
	return s
}

// Layout is a copy of what is where now.
func (s *Server) Layout() *Layout {
	s.gate.Lock()
	defer s.gate.Unlock()
	return s.layout.clone()
}

// Stats counts what was done so far.
func (s *Server) Stats() Stats {
	return Stats{
		Faults: s.faults.Load(), Filled: s.filled.Load(), Prefetched: s.prefetched.Load(),
		Deferred: s.retried.Load(), Stray: s.stray.Load(), Events: s.events.Load(),
	}
}

// Run serves until the process has ended (nil), the descriptor is closed (uffd.ErrClosed, after a second
// at most), ctx is done (its cause), or the kernel refuses a call. After an error the threads of the process still wait: call
// Run again, or end the process before the descriptor is closed, which makes them read zeros. It may be called again after ctx was done: threads that
// waited meanwhile are served then. The calling goroutine serves, with blocking system calls: where the process touches
// one page after the other, and GOMAXPROCS is 2 or more, it keeps its processor for up to 500 µs between two faults.
func (s *Server) Run(ctx context.Context) error {
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	defer unix.Close(stop)
	told := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		_, _ = unix.Write(stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // cannot fail: the count is 1
		close(told)
	})
	defer func() {
		if !unhook() {
			<-told // the number must not be written to once it is somebody else's
		}
	}()
	err = s.run(ctx, stop)
	s.children.Wait()
	if failed := s.failed.Load(); err == nil && failed != nil {
		err = *failed
	}
	return err
}

func (s *Server) run(ctx context.Context, stop int) error {
	if s.replayed != nil {
		return s.replayed
	}
	if err := s.wakeAll(); err != nil {
		return ended(err)
	}
	s.dense.Allow(keepsProcessor)
	wait, idle := lookEvery, time.Duration(0)
	for {
		switch err := s.poll(ctx, stop, wait); {
		case errors.Is(err, errProcessEnded):
			return nil
		case err != nil:
			return err
		}
		done, left, err := s.round(ctx)
		switch {
		case err != nil:
			return ended(err)
		case left == 0:
			wait, idle = lookEvery, 0
		case done > 0:
			wait, idle = 0, 0
		default:
			// The thread that changes the memory has to run before the fills go through.
			idle = min(idle+10*time.Microsecond, time.Millisecond)
			wait = idle
		}
	}
}

// ended turns the end of the process into the end of the work.
func ended(err error) error {
	if errors.Is(err, uffd.ErrGone) {
		return nil
	}
	return err
}

// keepsProcessor is how long Run waits for the next message, after one that came as soon, before it gives its processor to
// other goroutines: that costs more processor time than three faults.
const keepsProcessor = 500 * time.Microsecond

// lookEvery is how often it is asked whether the process has ended, where nothing else tells: it may also run another
// program by now, or be another one than the pidfd's.
const lookEvery = time.Second

var errProcessEnded = errors.New("the process has ended")

// poll waits until there is a message, for so long at most.
func (s *Server) poll(ctx context.Context, stop int, wait time.Duration) error {
	if wait == lookEvery && s.dense.Wait(s.fd.Fd()) {
		return context.Cause(ctx)
	}
	start := time.Now()
	fds := [3]unix.PollFd{
		{Fd: int32(s.fd.Fd()), Events: unix.POLLIN}, {Fd: int32(stop), Events: unix.POLLIN}, {Fd: int32(s.cfg.process), Events: unix.POLLIN},
	}
	timeout := unix.NsecToTimespec(int64(wait))
	n, err := unix.Ppoll(fds[:], &timeout, nil)
	switch {
	case err == unix.EINTR:
		return nil
	case err != nil:
		return fmt.Errorf("ppoll: %w", err)
	case fds[1].Revents != 0:
		return context.Cause(ctx)
	case fds[0].Revents&unix.POLLIN == 0 && fds[2].Revents != 0:
		return errProcessEnded
	case n == 0 && wait == lookEvery && s.fd.Gone():
		return errProcessEnded
	}
	if wait == lookEvery {
		s.dense.Waited(time.Since(start))
	}
	return nil
}

// wakeAll makes threads that wait repeat their touch: a handler before this one may have read their
// messages.
func (s *Server) wakeAll() error {
	for _, a := range s.Layout().areas {
		if err := s.fd.Wake(a.Range); err != nil {
			return err
		}
	}
	return nil
}

// round reads what there is and handles it. It answers how much it got done, and how many faults are
// left.
func (s *Server) round(ctx context.Context) (done, left int, err error) {
	s.gate.Lock()
	defer s.gate.Unlock()
	msgs := s.msgs[:]
	if s.cfg.journal != nil {
		msgs = s.cfg.journal.next()
	}
	n, err := s.fd.TryRead(msgs)
	if err != nil {
		return 0, 0, err
	}
	if s.cfg.journal != nil {
		s.cfg.journal.read(n)
		if err := s.cfg.journal.take(); err != nil {
			return 0, 0, err
		}
	}
	before := n + len(s.deferred)
	if err := s.handle(ctx, msgs[:n]); err != nil {
		return 0, 0, err
	}
	return before - len(s.deferred), len(s.deferred), nil
}

// handle does with the messages of a batch what they ask for: events first, whatever came first, then
// the faults that were deferred before, then the new ones.
func (s *Server) handle(ctx context.Context, msgs []uffd.Msg) error {
	for i := range msgs {
		if m := &msgs[i]; !m.IsPagefault() {
			if err := s.apply(ctx, m); err != nil {
				return err
			}
		}
	}
	again := s.deferred
	s.deferred = nil
	for i := range again {
		if err := s.fault(&again[i]); err != nil {
			return err
		}
	}
	for i := range msgs {
		if m := &msgs[i]; m.IsPagefault() {
			s.faults.Add(1)
			if err := s.fault(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// apply makes the layout what an event made of the memory, and wakes those that wait where nothing is
// any more: the kernel does not.
func (s *Server) apply(ctx context.Context, m *uffd.Msg) error {
	s.events.Add(1)
	var wake uffd.Range
	var err error
	if m.Event == uffd.EventFork {
		err = s.follow(ctx, m)
	} else {
		wake, err = s.layout.apply(m)
	}
	if err != nil {
		return err
	}
	if s.cfg.observer != nil {
		s.cfg.observer(*m)
	}
	if wake.Len() == 0 {
		return nil
	}
	return s.fd.Wake(wake)
}

// follow serves the child of a fork, from what the memory is at this moment.
func (s *Server) follow(ctx context.Context, m *uffd.Msg) error {
	fd, err := s.fd.Forked(m)
	if err != nil {
		return err
	}
	child := &Server{fd: fd, layout: s.layout.clone(), cfg: s.cfg, zeros: s.zeros}
	child.cfg.process, child.cfg.journal = -1, nil
	if s.cfg.child != nil {
		s.cfg.child(child)
	}
	s.children.Go(func() {
		err := child.Run(ctx)
		if e := fd.Close(); err == nil {
			err = e
		}
		if err != nil && ctx.Err() == nil {
			s.failed.CompareAndSwap(nil, &err)
		}
	})
	return nil
}

// fault fills the page that a message is about.
func (s *Server) fault(m *uffd.Msg) error {
	if m.Flags()&^uffd.PagefaultFlagWrite != 0 {
		return fmt.Errorf("%w: %v: register the memory with ModeMissing only", uffd.ErrInvalid, m)
	}
	page, ok := s.layout.Page(m.Address())
	if !ok {
		return s.lost(m)
	}
	n, err := s.fill(page)
	s.filled.Add(uint64(n))
	switch {
	case errors.Is(err, uffd.ErrAgain):
		s.retried.Add(1)
		s.deferred = append(s.deferred, *m)
		return nil
	case errors.Is(err, uffd.ErrNotRegistered):
		return s.lost(m)
	}
	return err
}

// lost wakes the thread of a fault that cannot be answered: the memory went, and the thread will find
// out by touching again.
func (s *Server) lost(m *uffd.Msg) error {
	s.stray.Add(1)
	page := m.Address().AlignDown(uintptr(uffd.PageSize()))
	return s.fd.Wake(uffd.Range{Start: page, End: page + uffd.Addr(uffd.PageSize())})
}

// fill fills what is missing of an area: its contents, and zeros behind them.
func (s *Server) fill(a Area) (filled int, err error) {
	whole := uffd.Addr(uintptr(len(a.Contents)) &^ (a.pageSize() - 1))
	if whole > 0 {
		if filled, err = s.fd.Copy(a.Start, a.Contents[:whole], 0); err != nil {
			return filled, err
		}
	}
	at := a.Start + whole
	if rest := a.Contents[whole:]; len(rest) > 0 { // the last page has but a beginning
		page := make([]byte, a.pageSize())
		copy(page, rest)
		n, err := s.fd.Copy(at, page, 0)
		if filled += n; err != nil {
			return filled, err
		}
		at += uffd.Addr(len(page))
	}
	if at >= a.End {
		return filled, nil
	}
	n, err := s.fillZeros(uffd.Range{Start: at, End: a.End}, a.pageSize())
	return filled + n, err
}

func (s *Server) fillZeros(r uffd.Range, page uintptr) (filled int, err error) {
	if page == uintptr(uffd.PageSize()) {
		return s.fd.Zeropage(r, 0)
	}
	for ; r.Len() > 0; r.Start += uffd.Addr(page) { // UFFDIO_ZEROPAGE does not take huge pages
		n, err := s.fd.Copy(r.Start, s.zeros[:page], 0)
		if filled += n; err != nil {
			return filled, err
		}
	}
	return filled, nil
}

// prefetchPages is how many pages a prefetcher fills in one go: faults wait for it.
const prefetchPages = 16

// Prefetch fills what is missing of r before it is touched, and returns how many bytes that were. It
// may run beside Run and other calls: faults go between its fills. What the layout does not have, or
// not any more, is left out. Where the process is changing its memory it waits for Run to read of that.
// It ends early with the cause of ctx, or with uffd.ErrGone once the process has ended.
func (s *Server) Prefetch(ctx context.Context, r uffd.Range) (filled uint64, err error) {
	for r.Start < r.End && err == nil {
		if ctx.Err() != nil {
			return filled, context.Cause(ctx)
		}
		var n int
		var next uffd.Addr
		n, next, err = s.prefetchSome(r)
		filled += uint64(n)
		switch {
		case errors.Is(err, uffd.ErrAgain):
			err = nil
			time.Sleep(50 * time.Microsecond) // with the gate open, so that the event can be read
		case errors.Is(err, uffd.ErrNotRegistered):
			err = nil // unmapped meanwhile; the message of it comes or, without the feature, never
			r.Start = next
		case err == nil:
			r.Start = next
		}
	}
	return filled, err
}

// prefetchSome fills the beginning of r, and answers where the rest begins.
func (s *Server) prefetchSome(r uffd.Range) (int, uffd.Addr, error) {
	s.gate.Lock()
	defer s.gate.Unlock()
	i := s.layout.first(r.Start)
	if i == len(s.layout.areas) || s.layout.areas[i].Start >= r.End {
		return 0, r.End, nil
	}
	a := s.layout.areas[i]
	size := uffd.Addr(a.pageSize())
	start := max(a.Start, r.Start.AlignDown(uintptr(size)))
	end := min(a.End, start+prefetchPages*size)
	n, err := s.fill(a.part(uffd.Range{Start: start, End: end}))
	s.filled.Add(uint64(n))
	s.prefetched.Add(uint64(n))
	return n, end, err
}
