package uffd

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Read waits for messages and reads as many as there are and fit, without allocating: page faults
// come before events, whatever their order of arrival. It returns os.ErrDeadlineExceeded after the
// deadline, ErrClosed once f is closed, and ErrInvalid for an empty buffer. A waiting Read costs
// no thread. Where messages come within 50 µs of each other it waits so long for the next one without giving its
// processor (GOMAXPROCS) to other goroutines, which costs less time than to give it away. To end it with a
// context: context.AfterFunc(ctx, func() { fd.Close() }), or fd.SetReadDeadline(time.Unix(1, 0)) where f is to go on. Concurrent calls take turns. The descriptor becomes non-blocking, see WithNonblock.
//
// Needs Linux 4.3.
func (f *FD) Read(msgs []Msg) (int, error) {
	if len(msgs) == 0 {
		return 0, newError("read", Range{}, 0, unix.EINVAL)
	}
	f.readers.RLock()
	defer f.readers.RUnlock()
	file, err := f.reader()
	if err != nil {
		return 0, err
	}
	var start time.Time
	there := f.waitShortly()
	if !there {
		start = time.Now()
	}
	n, err := file.Read(msgBytes(msgs))
	if err != nil {
		return 0, readError(err)
	}
	if !there {
		f.dense.Waited(time.Since(start))
	}
	return n / msgSize, nil
}

// waitShortly waits for a message for a moment, where they come one after the other, and answers whether there is one.
func (f *FD) waitShortly() bool {
	f.mu.RLock() // so that Close does not give the number away
	defer f.mu.RUnlock()
	return !f.closed && f.dense.Wait(f.raw)
}

// TryRead is Read without waiting: 0 and no error where there is no message. The deadline does not
// matter to it.
//
// Needs Linux 4.3.
func (f *FD) TryRead(msgs []Msg) (int, error) {
	if len(msgs) == 0 {
		return 0, newError("read", Range{}, 0, unix.EINVAL)
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return 0, ErrClosed
	}
	if !f.nonblocking.Load() {
		if err := unix.SetNonblock(f.raw, true); err != nil {
			return 0, readError(err)
		}
		f.nonblocking.Store(true)
	}
	for {
		n, err := unix.Read(f.raw, msgBytes(msgs))
		switch err {
		case nil:
			return n / msgSize, nil
		case unix.EAGAIN:
			return 0, nil
		case unix.EINTR:
		default:
			return 0, readError(err)
		}
	}
}

// Wait waits until there is a message, and leaves it unread. It ends as Read does: by the deadline,
// and by Close. Whoever fills pages beside the reader, such as a prefetcher, can so be kept out from
// before an event is read until it is applied: Wait, lock, TryRead, apply, unlock.
//
// Needs Linux 4.3.
func (f *FD) Wait() error {
	f.readers.RLock()
	defer f.readers.RUnlock()
	file, err := f.reader()
	if err != nil {
		return err
	}
	conn, err := file.SyscallConn()
	if err == nil {
		err = conn.Read(func(fd uintptr) bool {
			poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, err := unix.Poll(poll, 0)
			return err == nil && n > 0
		})
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	// What a raw connection says of a file that was closed is not os.ErrClosed.
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return ErrClosed
	}
	return readError(err)
}

// SetReadDeadline bounds Read and Wait, also one that waits already. The zero time is no bound.
func (f *FD) SetReadDeadline(t time.Time) error {
	file, err := f.reader()
	if err != nil {
		return err
	}
	// Under the lock, since what a file says of a deadline after its Close is not os.ErrClosed.
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return ErrClosed
	}
	if err := file.SetReadDeadline(t); err != nil {
		return readError(err)
	}
	return nil
}

// reader returns the poller's view of the descriptor. It is a duplicate, so that it does not
// decide when the descriptor is closed; the flags of the two are one.
func (f *FD) reader() (*os.File, error) {
	f.mu.RLock()
	file, closed := f.file, f.closed
	f.mu.RUnlock()
	if closed {
		return nil, ErrClosed
	}
	if file != nil {
		return file, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	if f.file != nil {
		return f.file, nil
	}
	if err := unix.SetNonblock(f.raw, true); err != nil {
		return nil, readError(err)
	}
	dup, err := unix.FcntlInt(uintptr(f.raw), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, readError(err)
	}
	f.file = os.NewFile(uintptr(dup), "userfaultfd")
	f.dense.Allow(50 * time.Microsecond)
	return f.file, nil
}

// readError takes the file name off an error of os.File: the descriptor has none.
func readError(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return newError("read", Range{}, 0, errno)
	}
	if errors.Is(err, os.ErrClosed) {
		return ErrClosed
	}
	return err
}
