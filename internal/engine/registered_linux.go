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
	answerLater // an event waits to be read
)

// registered reports whether a range lies in one mapping, anonymous and registered with a descriptor.
//
// UFFDIO_CONTINUE answers EINVAL for anonymous memory that is registered, and ENOENT for memory that is
// not (mfill_atomic, mm/userfaultfd.c); it changes nothing in either case. EAGAIN is no answer: a change
// of registered memory waits for its message to be read (mmap_changing, fs/userfaultfd.c).
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) registered(w *worker, fd uint32, addr, length uintptr) int {
	// nosplit: runs without a g.
	w.args[0], w.args[1], w.args[2], w.args[3] = uint64(addr), uint64(length), uffd.ContinueModeDontwake, 0
	e := raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(fd), uffd.IoctlContinue, uintptr(unsafe.Pointer(&w.args)), 0, 0, 0))
	if e == uintptr(unix.EINVAL) {
		return answerYes
	}
	if e == uintptr(unix.ENOENT) {
		return answerNo
	}
	return answerLater
}
