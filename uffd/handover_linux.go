package uffd

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Send hands a duplicate of the descriptor to the process at the other end of a connected Unix
// socket (*net.UnixConn and *os.File are such), together with data, at least one byte of the two
// programs' own protocol, such as the ranges and their contents. See unix(7), SCM_RIGHTS. The
// receiver serves this process's memory from then on, and f may be closed: the registrations last as
// long as any of the duplicates. Send waits where the socket's buffer is full, until the socket's
// deadline. Close of f does not wait for it: Send is then ErrClosed as soon as it can go on.
//
// Needs Linux 4.3.
func (f *FD) Send(socket syscall.Conn, data []byte) error {
	if len(data) == 0 {
		return newError("sendmsg", Range{}, 0, unix.EINVAL)
	}
	sent := 0
	err := onSocket(socket, unix.POLLOUT, func(fd int) (err error) {
		f.mu.RLock()
		defer f.mu.RUnlock()
		if f.closed {
			return ErrClosed
		}
		sent, err = unix.SendmsgN(fd, data, unix.UnixRights(f.raw), nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		return err
	})
	if errno, ok := err.(unix.Errno); ok {
		return newError("sendmsg", Range{}, 0, errno)
	}
	if err == nil && sent < len(data) { // a stream socket with a full buffer; the descriptor went with the first byte
		return fmt.Errorf("sendmsg: the descriptor and %d of %d bytes were sent: send the rest by itself", sent, len(data))
	}
	return err
}

// Receive takes one descriptor and the data that came with it from a connected Unix socket, and
// adopts it: see Adopt for the options. It returns how many bytes of data it filled. A message with
// no descriptor, with several, or with one that is no userfaultfd is ErrInvalid, and whatever came
// is closed. Receive waits for a message until the socket's deadline.
//
// Needs Linux 4.3.
func Receive(socket syscall.Conn, data []byte, opts ...Option) (*FD, int, error) {
	control := make([]byte, unix.CmsgSpace(4*4)) // room to notice, and close, what is too many
	var n, controlLen, flags int
	err := onSocket(socket, unix.POLLIN, func(fd int) (err error) {
		n, controlLen, flags, _, err = unix.Recvmsg(fd, data, control, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		return err
	})
	if errno, ok := err.(unix.Errno); ok {
		return nil, 0, newError("recvmsg", Range{}, 0, errno)
	}
	if err != nil {
		return nil, 0, err
	}
	fds := receivedRights(control[:controlLen])
	if len(fds) != 1 || flags&unix.MSG_CTRUNC != 0 {
		closeAll(fds)
		return nil, n, fmt.Errorf("%w: %d descriptors with %d bytes, want one", ErrInvalid, len(fds), n)
	}
	f, err := Adopt(fds[0], opts...)
	if err != nil {
		closeAll(fds)
		return nil, n, err
	}
	return f, n, nil
}

// lookAgain is after how many milliseconds a wait for a blocking socket looks whether the FD or the socket was closed.
const lookAgain = 100

// onSocket repeats call, which does not wait, until it says something else than EAGAIN, and waits in between for what
// it has to wait for. A closed socket is ErrClosed: neither the error of net nor that of os matches it by itself.
func onSocket(socket syscall.Conn, event int16, call func(fd int) error) error {
	conn, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	wait := conn.Read
	if event == unix.POLLOUT {
		wait = conn.Write
	}
	for {
		var answer error
		err := wait(func(fd uintptr) (done bool) {
			for answer = call(int(fd)); answer == unix.EINTR; {
				answer = call(int(fd))
			}
			if answer != unix.EAGAIN {
				return true
			}
			// The poller waits for what does not block, and for nothing else.
			flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
			if err != nil || flags&unix.O_NONBLOCK != 0 {
				return false
			}
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: event}}, lookAgain)
			return true
		})
		switch {
		case err != nil && conn.Control(func(uintptr) {}) != nil:
			return fmt.Errorf("the socket: %w", ErrClosed)
		case err != nil:
			return err
		case answer != unix.EAGAIN:
			return answer
		}
	}
}

// receivedRights are the descriptors that a control buffer announces; what it cannot parse, it
// leaves out.
func receivedRights(control []byte) []int {
	var fds []int
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_RIGHTS {
			continue
		}
		// Not unix.ParseUnixRights, which panics where the length is no multiple of 4.
		for data := m.Data; len(data) >= 4; data = data[4:] {
			fds = append(fds, int(int32(binary.NativeEndian.Uint32(data))))
		}
	}
	return fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd) // not ours for more than a moment, and nothing was written to it
	}
}
