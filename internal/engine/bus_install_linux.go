//go:build linux && (amd64 || arm64)

//lint:file-ignore U1000 assembly uses these

package engine

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// What was there before the handler of SIGBUS: where bustramp goes on, and how the kernel would have masked
// signals for it.
var (
	busBefore uintptr
	busMask   uint64
	busPage   uintptr
)

// busEntry returns the address of bustramp.
func busEntry() uintptr

// bustramp is entered by the kernel.
func bustramp()

const (
	saNodefer   = 0x40000000
	saResethand = 0x80000000
)

// errBusReplaced: put in front again, the two handlers would call each other for ever.
var errBusReplaced = errors.New("another handler of SIGBUS was put in front of the engine's: deliver by thread in this process")

// installBus puts the handler of SIGBUS in front of the one that is there, Go's as a rule. It stays for
// the life of the process: a signal may still be on its way when an engine stops.
func installBus() error {
	entry := busEntry()
	var old, was sigaction
	if e := rtSigaction(int(unix.SIGBUS), nil, &old); e != 0 {
		return fmt.Errorf("look at the handler of SIGBUS: %w", e)
	}
	switch {
	case old.handler == entry:
		return nil
	case busBefore != 0:
		return errBusReplaced
	case old.handler <= 1: // SIG_DFL, SIG_IGN
		return errors.New("SIGBUS has no handler to go on to, where Go has one: deliver by thread")
	case old.flags&saResethand != 0:
		return errors.New("the handler of SIGBUS is for one signal only (SA_RESETHAND): deliver by thread")
	}
	busBefore, busPage = old.handler, uintptr(unix.Getpagesize())
	busMask = old.mask
	if old.flags&saNodefer == 0 {
		busMask |= 1 << (unix.SIGBUS - 1)
	}
	_, _, restorer := entries()
	a := sigaction{
		handler: entry, restorer: restorer,
		// See installHandler. SA_RESTART and its kin as the handler from before had them.
		flags: old.flags&^saNodefer | saSiginfo | saOnstack | saRestorer,
		mask:  ^uint64(0),
	}
	if e := rtSigaction(int(unix.SIGBUS), &a, &was); e != 0 {
		return fmt.Errorf("install the handler of SIGBUS: %w", e)
	}
	if was.handler != old.handler {
		rtSigaction(int(unix.SIGBUS), &was, nil)
		busBefore = 0
		return errors.New("the handler of SIGBUS changed while ours was put in front: try again")
	}
	return nil
}

// BusReplaced reports whether another handler of SIGBUS stands in front of the engine's, which then sees
// only what that one passes on.
func (e *Engine) BusReplaced() bool {
	var now sigaction
	return e.s.signals && rtSigaction(int(unix.SIGBUS), nil, &now) == 0 && now.handler != busEntry()
}

// BusOwner says whose the handler of SIGBUS is.
func (e *Engine) BusOwner() string {
	a, err := disposition(int(unix.SIGBUS))
	switch {
	case err != nil:
		return "code that cannot be told: " + err.Error()
	case a.handler == sigDfl:
		return "code that gave it its default action, which ends the process"
	case a.handler == sigIgn:
		return "code that has it ignored"
	}
	return e.ownerOf(a.handler)
}

// restoreMask masks what the kernel would have masked for the handler from before.
//
//go:nosplit
//go:norace
//go:nocheckptr
func restoreMask(ctx uintptr) {
	// nosplit: runs in the signal handler.
	const most = ^uint64(1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1))
	if busMask&most == most {
		return
	}
	mask := *at[uint64](ctx + ctxMask) | busMask
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

// prepareBus sets up what the handler needs.
func (e *Engine) prepareBus() {
	s := e.s
	s.answerBusCode, s.serveBusCode, s.resolveBusCode = codeOf(answerBus), codeOf(serveBus), codeOf(resolveBus)
	s.readBusCode, s.describeCode = codeOf(readBus), codeOf(describe)
	w := at[worker](e.workers[0]) // no thread has it yet
	_, _, _, s.queries = s.query(w, e.workers[0])
}
