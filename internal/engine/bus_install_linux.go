//go:build linux && (amd64 || arm64)

//lint:file-ignore U1000 assembly uses these

package engine

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// What was there before the handlers of SIGBUS and SIGSEGV, by the signal's number: where bustramp goes on, and how the
// kernel would have masked signals for it.
var (
	busBefore [unix.SIGSEGV + 1]uintptr
	busMask   [unix.SIGSEGV + 1]uint64
	busPage   uintptr
)

// busSignals are the signals by which faults come: SIGSEGV for memory whose access was taken away, SIGBUS for memory that
// is registered with userfaultfd.
func (e *Engine) busSignals() []unix.Signal {
	if e.s.without {
		return []unix.Signal{unix.SIGSEGV}
	}
	return []unix.Signal{unix.SIGBUS, unix.SIGSEGV}
}

// busEntry returns the address of bustramp.
func busEntry() uintptr

// bustramp is entered by the kernel.
func bustramp()

const (
	saNodefer   = 0x40000000
	saResethand = 0x80000000
)

// installBus puts the handlers of such signals in front of those that are there, Go's as a rule. They stay for
// the life of the process: a signal may still be on its way when an engine stops.
func installBus(signals []unix.Signal) error {
	for _, sig := range signals {
		if err := installFront(sig); err != nil {
			return err
		}
	}
	return nil
}

func installFront(sig unix.Signal) error {
	entry, name := busEntry(), unix.SignalName(sig)
	var old, was sigaction
	if e := rtSigaction(int(sig), nil, &old); e != 0 {
		return fmt.Errorf("look at the handler of %s: %w", name, e)
	}
	switch {
	case old.handler == entry:
		return nil
	case busBefore[sig] != 0: // put in front again, the two handlers would call each other for ever
		return fmt.Errorf("another handler of %s was put in front of the engine's: deliver by thread in this process", name)
	case old.handler <= sigIgn:
		return fmt.Errorf("%s has no handler to go on to, where Go has one: deliver by thread", name)
	case old.flags&saResethand != 0:
		return fmt.Errorf("the handler of %s is for one signal only (SA_RESETHAND): deliver by thread", name)
	}
	busPage = uintptr(unix.Getpagesize())
	busBefore[sig], busMask[sig] = old.handler, old.mask
	if old.flags&saNodefer == 0 {
		busMask[sig] |= 1 << (sig - 1)
	}
	_, _, restorer := entries()
	a := sigaction{
		handler: entry, restorer: restorer,
		// See installHandler. SA_RESTART and its kin as the handler from before had them.
		flags: old.flags&^saNodefer | saSiginfo | saOnstack | saRestorer,
		mask:  ^uint64(0),
	}
	if e := rtSigaction(int(sig), &a, &was); e != 0 {
		return fmt.Errorf("install the handler of %s: %w", name, e)
	}
	if was.handler != old.handler {
		rtSigaction(int(sig), &was, nil)
		busBefore[sig] = 0
		return fmt.Errorf("the handler of %s changed while ours was put in front: try again", name)
	}
	return nil
}

// BusReplaced names the signal in front of whose handler of ours another one stands, which then sees only what that one
// passes on, and says whose it is; both are empty where there is none.
func (e *Engine) BusReplaced() (sig, owner string) {
	if !e.s.signals {
		return "", ""
	}
	for _, sig := range e.busSignals() {
		if a, err := disposition(int(sig)); err == nil && a.handler != busEntry() {
			return unix.SignalName(sig), e.busOwner(a)
		}
	}
	return "", ""
}

// busOwner says whose a handler is.
func (e *Engine) busOwner(a *sigaction) string {
	switch a.handler {
	case sigDfl:
		return "code that gave it its default action, which ends the process"
	case sigIgn:
		return "code that has it ignored"
	}
	return e.ownerOf(a.handler)
}

// restoreMask masks what the kernel would have masked for the handler from before.
//
//go:nosplit
//go:norace
//go:nocheckptr
func restoreMask(info, ctx uintptr) {
	// By address: see query.
	const most = ^uint64(1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1))
	own := *at[uint64](uintptr(unsafe.Pointer(&busMask)) + uintptr(*at[uint32](info))*8)
	if own&most == most {
		return
	}
	mask := *at[uint64](ctx + ctxMask) | own
	raw.Syscall(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&mask)), 0, 8, 0, 0)
}

// settleBus waits until no handler can hold what was current before the call. It has one caller at a time.
func settleBus() {
	for range 2 {
		side := raw.Load32(&busSide) & 1
		raw.Store32(&busSide, uint32(side^1))
		for raw.Load32(sideBus(uintptr(side))) != 0 {
			time.Sleep(20 * time.Microsecond)
		}
	}
}

// whilePlacing brackets what puts registered memory in the place of other memory, see realBus.
func whilePlacing(f func()) {
	raw.Add32(&placing, 1)
	f()
	raw.Add32(&placed, 1)
	raw.Add32(&placing, ^uint32(0))
}

// The handler makes its system calls on the application's threads, so its descriptors are in the table of
// the process: high, where few loops over all numbers reach. The engine's threads have the same ones under the
// same numbers. So one that the application closes is not the last of its kind, nothing is unregistered,
// and what the handler cannot do the disk threads do.
const exposedLow = 960

// exposed are the descriptors that stay in the table of the process.
type exposed []struct {
	fd         int
	dev, inode uint64
}

// expose duplicates descriptors to high numbers, in their place.
func (x *exposed) expose(fds ...*uint32) error {
	for _, fd := range fds {
		n, err := unix.FcntlInt(uintptr(*fd), unix.F_DUPFD_CLOEXEC, exposedLow)
		for low := exposedLow / 2; err == unix.EINVAL && low > 0; low /= 2 { // RLIMIT_NOFILE
			n, err = unix.FcntlInt(uintptr(*fd), unix.F_DUPFD_CLOEXEC, low)
		}
		if err != nil {
			return fmt.Errorf("duplicate a descriptor for the signal handler: %w", err)
		}
		*fd = uint32(n)
		dev, inode := identity(n)
		*x = append(*x, struct {
			fd         int
			dev, inode uint64
		}{n, dev, inode})
	}
	return nil
}

// close closes those that are still ours.
func (x *exposed) close() {
	for _, o := range *x {
		if dev, inode := identity(o.fd); dev == o.dev && inode == o.inode {
			unix.Close(o.fd)
		}
	}
	*x = nil
}

// identity is 0 for what is not open. A userfaultfd has an inode of its own since Linux 5.12.
func identity(fd int) (dev, inode uint64) {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0, 0
	}
	return uint64(st.Dev), st.Ino
}
