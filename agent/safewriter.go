package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/firsttouch/firsttouch/profiler"
)

// SafeWriter returns a writer that touches memory before it hands it to w, such as a net.Conn or an os.File. Where faults of
// system calls are not served (WithFailingSystemCalls, delivery by signal), a Write of profiled memory before its first touch would fail
// with EFAULT, and the answer or the file would end early. The touch is made by the goroutine that writes, so it is seen, with its stack.
//
// Memory that is armed again between the touch and the system call (windows) can fail all the same. Then the rest is written
// again, and the regions that the memory is of are given back for good: a note says so, and they are not observed any more.
//
// It costs a read of each page. Where nothing is armed, or system calls are served, it does nothing more than w. Like w it may be used by several
// goroutines if w may.
func (a *Agent) SafeWriter(w io.Writer) io.Writer {
	if a.prof == nil || a.failing == "" {
		return w
	}
	return &safeWriter{a, w}
}

type safeWriter struct {
	a *Agent
	w io.Writer
}

// safeTries bounds how often memory is armed again between its touch and the system call.
const safeTries = 10

// Write is that of the writer below, after a touch of all of b.
func (s *safeWriter) Write(b []byte) (n int, err error) {
	for try := 0; ; try++ {
		touch(b[n:])
		var some int
		some, err = s.w.Write(b[n:])
		n += some
		if !errors.Is(err, syscall.EFAULT) || try == safeTries {
			return n, err
		}
		s.a.giveUp(b, fmt.Sprintf("a write of %d bytes out of it failed with EFAULT", len(b)))
	}
}

// giveUp takes the regions that memory is of off for good.
func (a *Agent) giveUp(b []byte, why string) {
	for _, r := range a.prof.RegionsOf(b) {
		a.mu.Lock()
		if a.gaveBack == nil {
			a.gaveBack = make(map[string]bool)
		}
		a.gaveBack[r.Name()] = true
		a.mu.Unlock()
		if err := r.Close(); err != nil {
			a.note("region %s: %s, and it cannot be given back yet: %v", r.Name(), why, err)
			continue
		}
		a.note("region %s: %s: it is plain memory again, and not observed any more", r.Name(), why)
	}
}

// errGivenBack is why a file is not attached again.
var errGivenBack = fmt.Errorf("%w: it was given back, since a system call that was handed its memory failed (SafeWriter)", profiler.ErrNotSupported)

func (a *Agent) isGivenBack(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.gaveBack[name]
}

// touch reads a byte of each page.
func touch(b []byte) {
	page := os.Getpagesize()
	for i := 0; i < len(b); i += page {
		touchByte(&b[i])
	}
	if len(b) > 0 {
		touchByte(&b[len(b)-1])
	}
}

//go:noinline
func touchByte(p *byte) byte { return *p }
