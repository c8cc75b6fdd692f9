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
// long as any of the duplicates. Send waits where the socket's buffer is full.
func (f *FD) Send(socket syscall.Conn, data []byte) error {
	if len(data) == 0 {
		return newError("sendmsg", Range{}, 0, unix.EINVAL)
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return ErrClosed
	}
	rights := unix.UnixRights(f.raw)
	conn, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	sent, sendErr := 0, error(nil)
	err = conn.Write(func(fd uintptr) bool {
		sent, sendErr = unix.SendmsgN(int(fd), data, rights, nil, unix.MSG_NOSIGNAL)
		return sendErr != unix.EAGAIN && sendErr != unix.EINTR
	})
	switch {
	case err != nil:
		return err
	case sendErr != nil:
		return newError("sendmsg", Range{}, 0, sendErr.(unix.Errno))
	case sent < len(data): // a stream socket with a full buffer; the descriptor went with the first byte
		return fmt.Errorf("sendmsg: the descriptor and %d of %d bytes were sent: send the rest by itself", sent, len(data))
	}
	return nil
}

// Receive takes one descriptor and the data that came with it from a connected Unix socket, and
// adopts it: see Adopt for the options. It returns how many bytes of data it filled. A message with
// no descriptor, with several, or with one that is no userfaultfd is ErrInvalid, and whatever came
// is closed.
func Receive(socket syscall.Conn, data []byte, opts ...Option) (*FD, int, error) {
	conn, err := socket.SyscallConn()
	if err != nil {
		return nil, 0, err
	}
	control := make([]byte, unix.CmsgSpace(4*4)) // room to notice, and close, what is too many
	var n, controlLen, flags int
	var recvErr error
	err = conn.Read(func(fd uintptr) bool {
		n, controlLen, flags, _, recvErr = unix.Recvmsg(int(fd), data, control, unix.MSG_CMSG_CLOEXEC)
		return recvErr != unix.EAGAIN && recvErr != unix.EINTR
	})
	if err != nil {
		return nil, 0, err
	}
	if recvErr != nil {
		return nil, 0, newError("recvmsg", Range{}, 0, recvErr.(unix.Errno))
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
