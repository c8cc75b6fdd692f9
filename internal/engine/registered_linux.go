//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// Answers of registered.
const (
	answerNo = iota
	answerYes
	answerLater  // an event waits to be read
	answerNobody // the kernel may not be asked: whoever acts on the answer leaves the memory as it is
)

// registered reports whether a range lies in one mapping, anonymous and registered with a descriptor.
//
// UFFDIO_CONTINUE answers EINVAL for anonymous memory that is registered, and ENOENT for memory that is
// not (mfill_atomic, mm/userfaultfd.c); it changes nothing in either case. EAGAIN is no answer: a change
// of registered memory waits for its message to be read (mmap_changing, fs/userfaultfd.c).
//
// Where CONTINUE is refused, a COPY that is to protect the page answers the same: the memory that is asked for
// is registered for missing pages alone. It would add zeros at worst, to what holds nothing.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) registered(w *worker, fd uint32, addr, length uintptr) int {
	raw.Add64(&s.questions, 1)
	w.args[0], w.args[1], w.args[2], w.args[3] = uint64(addr), uint64(length), uint64(uffd.ContinueModeDontwake), 0
	e := s.ioctl(w, fd, uffd.IoctlContinue)
	is := s.understood(e)
	if is != answerNobody {
		return is
	}
	s.bar(callContinue, e)
	w.args[0], w.args[1], w.args[2], w.args[3], w.args[4] = uint64(addr), uint64(s.zeros), uint64(length), uint64(uffd.CopyModeDontwake|uffd.CopyModeWP), 0
	e = s.ioctl(w, fd, uffd.IoctlCopy)
	if is = s.understood(e); is == answerNobody {
		s.bar(callCopy, e)
	}
	return is
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) understood(errno uintptr) int {
	switch unix.Errno(errno) {
	case unix.EINVAL:
		return answerYes
	case unix.ENOENT:
		return answerNo
	case unix.EAGAIN:
		return answerLater
	case unix.EBADF, unix.ENOTTY:
		if s.signals {
			return answerLater // the application may have closed the number, see exposedStill
		}
	}
	return answerNobody
}

// IsPlaceholder reports whether the list of mappings shows that a private mapping is a placeholder. It is one of /dev/zero, and the
// kernel keeps its offset equal to the address to which it was moved (copy_vma, mm/vma.c); one that somebody else
// has mapped has the offset that was asked for.
func IsPlaceholder(path string, offset int64, lo uintptr) bool {
	return path == "/dev/zero" && offset == int64(lo)
}

// asked is registered once events are read. A reader must not wait for an answer that its own reading brings
// about: it gets answerLater then.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) asked(w *worker, t *target, addr, length uintptr) int {
	w.ask.fd, w.ask.addr, w.ask.length = t.uffd, addr, length
	deep(askKernel, uintptr(unsafe.Pointer(w)))
	return w.ask.answer
}

//go:nosplit
//go:norace
//go:nocheckptr
func askKernel(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	w.ask.answer = s.registered(w, w.ask.fd, w.ask.addr, w.ask.length)
	for w.ask.answer == answerLater && w.reads == 0 {
		s.nap(w, 20e3)
		w.ask.answer = s.registered(w, w.ask.fd, w.ask.addr, w.ask.length)
	}
	if w.ask.answer == answerNobody && !w.bus.ours {
		s.probeWake(w)
	}
}

// whole reports whether a range lies in one mapping and that is our placeholder. The page that a
// thread waits for is; its neighbours in a wider granule may have been given to somebody else.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) whole(w *worker, t *target, addr, length uintptr) bool {
	return s.asked(w, t, addr, length) == answerYes
}
