package uffd

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/firsttouch/firsttouch/internal/dense"
	"golang.org/x/sys/unix"
)

// FD is an open userfaultfd and owns its descriptor. All methods are safe for concurrent use.
type FD struct {
	path     OpenPath
	features Features
	enabled  Features
	known    bool // what is enabled is known; else nothing may be concluded from what enabled lacks
	raw      int
	dense    dense.Waiter

	nonblocking atomic.Bool // TryRead has seen to it

	// readers is held shared for the length of each read, so that Close returns only when the last
	// reader has left. Taken before mu.
	readers sync.RWMutex

	// mu is held shared over each ioctl, so that Close cannot hand the number to another file in
	// the middle of one.
	mu     sync.RWMutex
	closed bool
	file   *os.File // a duplicate of raw for the Go runtime's poller, made by the first read
}

// Fd is the descriptor's number, for code that issues its own system calls. It is valid until
// Close, and stays owned by f: keep f in use for as long as the number is.
func (f *FD) Fd() int { return f.raw }

// Path is the way in which the descriptor was obtained.
func (f *FD) Path() OpenPath { return f.path }

// UserModeOnly reports whether only faults made in user mode are served: a system call that is
// handed an armed page then fails with EFAULT. It is not known of an adopted descriptor, and false.
func (f *FD) UserModeOnly() bool { return f.path == PathUserModeOnly }

// Features are the features that the kernel offers, enabled or not; of an adopted descriptor, those
// that are enabled.
func (f *FD) Features() Features { return f.features }

// Enabled are the features that are in force on this descriptor. FeatureWPAsync brings
// FeatureWPUnpopulated with it.
func (f *FD) Enabled() Features { return f.enabled }

// Close unblocks readers, waits for the calls in progress and closes the descriptor. (A Copy whose
// source is itself a missing page of f must be served first.) The kernel
// unregisters its ranges and wakes their waiters: pages that were not filled read as zeros, or as
// the file has them. A second Close is ErrClosed.
func (f *FD) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return ErrClosed
	}
	f.closed = true
	var err error
	if f.file != nil {
		err = f.file.Close()
	}
	if e := unix.Close(f.raw); err == nil && e != nil {
		err = newError("close", Range{}, 0, e.(unix.Errno))
	}
	f.mu.Unlock()
	f.readers.Lock()
	defer f.readers.Unlock()
	return err
}

// Gone reports whether the process whose memory f serves has ended, or replaced its program. It asks
// by a fill of memory that is not registered, which does nothing else.
func (f *FD) Gone() bool {
	// Below any program; the kernel looks for the process before it looks for the mapping.
	const low = 1 << 16
	arg := copyArg{Dst: low, Src: low, Len: uint64(PageSize())}
	return f.rawCopy(&arg) == unix.ESRCH
}

// Forked takes over the descriptor that an EventFork message of f announced: it serves the memory of
// the child, with the features of f, and is made close-on-exec. The caller must close it. A message
// gives its descriptor once: m has no number afterwards, so that nothing closes a stranger's file.
// Any other message is ErrInvalid.
//
// Needs Linux 4.11.
func (f *FD) Forked(m *Msg) (*FD, error) {
	if m.Event != EventFork {
		return nil, fmt.Errorf("%w: %v announces no descriptor", ErrInvalid, m)
	}
	raw := m.ForkFD()
	if raw < 0 {
		return nil, fmt.Errorf("%w: the descriptor of this message was taken before", ErrInvalid)
	}
	m.Arg[0] = noFD
	unix.CloseOnExec(raw) // the kernel gives it the flags of the descriptor that the parent opened
	return &FD{
		raw: raw, path: f.path,
		features: f.features, enabled: f.enabled, known: f.known,
	}, nil
}

// noFD is what ForkFD says of a message whose descriptor was taken.
const noFD = ^uint64(0)
