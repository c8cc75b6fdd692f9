package uffd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

const senderEnv = "UFFD_TEST_SENDER"

// A process hands its descriptor to another, which serves its memory. This one receives and serves;
// the child sends, closes its own, and touches.
func TestHandOver(t *testing.T) {
	if os.Getenv(senderEnv) != "" {
		sendAndTouch(t)
		return
	}
	if !inChild(t) {
		return
	}
	openTest(t)
	conn, file := socketPair(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^TestHandOver$", "-test.v")
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), senderEnv+"=1"), []*os.File{file}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 64)
	fd, n, err := Receive(conn, data, WithFeatures(FeatureThreadID))
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	pages := int(binary.LittleEndian.Uint64(data[8:]))
	base := Addr(binary.LittleEndian.Uint64(data))
	if n != 16 || pages != 4 {
		t.Fatalf("%d bytes with the descriptor, %d pages", n, pages)
	}
	msgs := make([]Msg, 4)
	for left := pages; left > 0; {
		n, err := fd.Read(msgs)
		if err != nil {
			t.Fatal(err)
		}
		for i := range msgs[:n] {
			at := msgs[i].Address().AlignDown(uintptr(PageSize()))
			filled, err := fd.Copy(at, pattern(byte(1+(at-base)/Addr(PageSize())), 1), 0)
			if err != nil {
				t.Fatal(err)
			}
			left -= filled / PageSize()
			if msgs[i].Thread() <= 0 {
				t.Errorf("%v: no thread", &msgs[i])
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the sender: %v", err)
	}
	// Its memory went with it: fills say ESRCH, and registration, as it always did, ENOMEM.
	if _, err := fd.Copy(base, pattern(1, 1), 0); !isErr(err, ErrGone, unix.ESRCH) {
		t.Errorf("Copy into a process that ended: %v", err)
	}
	memory := Range{base, base + Addr(PageSize())}
	if _, err := fd.Register(memory, ModeMissing); !isErr(err, ErrNoMemory, unix.ENOMEM) {
		t.Errorf("Register in a process that ended: %v", err)
	}
	if err := fd.Wake(memory); err != nil { // has nobody to wake
		t.Errorf("Wake in a process that ended: %v", err)
	}
	if err := fd.Unregister(memory); !isErr(err, ErrNoMemory, unix.ENOMEM) {
		t.Errorf("Unregister in a process that ended: %v", err)
	}
}

// sendAndTouch is the other end.
func sendAndTouch(t *testing.T) {
	file := os.NewFile(3, "socket")
	defer file.Close()
	fd := openTest(t, WithFeatures(FeatureThreadID))
	mem := anonymous(t, 4)
	register(t, fd, mem, ModeMissing)
	var data [16]byte
	binary.LittleEndian.PutUint64(data[:], uint64(RangeOf(mem).Start))
	binary.LittleEndian.PutUint64(data[8:], 4)
	if err := fd.Send(file, data[:]); err != nil {
		t.Fatal(err)
	}
	if err := fd.Close(); err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		if got := page(mem, n)[0]; int(got) != n+1 {
			t.Errorf("page %d holds %d", n, got)
		}
	}
	if err := fd.Send(file, data[:]); !errors.Is(err, ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
	fmt.Println("sender: done")
}

func TestReceiveRefusesOtherMessages(t *testing.T) {
	before := len(openFiles(t))
	for name, send := range map[string]func(socket int) error{
		"no descriptor": func(s int) error { return unix.Sendmsg(s, []byte{1}, nil, nil, 0) },
		"another file":  func(s int) error { return unix.Sendmsg(s, []byte{1}, unix.UnixRights(0), nil, 0) },
		"two files":     func(s int) error { return unix.Sendmsg(s, []byte{1}, unix.UnixRights(0, 1), nil, 0) },
		"many files":    func(s int) error { return unix.Sendmsg(s, []byte{1}, unix.UnixRights(0, 1, 0, 1, 0, 1, 0, 1), nil, 0) },
	} {
		conn, file := socketPair(t)
		if err := send(int(file.Fd())); err != nil {
			t.Fatal(err)
		}
		if fd, n, err := Receive(conn, make([]byte, 8)); fd != nil || n != 1 || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, %d bytes, %v", name, fd, n, err)
		}
		noErr(t, "close", conn.Close())
		noErr(t, "close", file.Close())
	}
	if after := len(openFiles(t)); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if err := openTest(t).Send(os.Stdin, nil); !isErr(err, ErrInvalid, unix.EINVAL) {
		t.Errorf("Send of no data: %v", err)
	}
}

// socketPair is a connected pair of Unix sockets, of which one is for a child.
func socketPair(t *testing.T) (*net.UnixConn, *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	near := os.NewFile(uintptr(pair[0]), "near")
	defer near.Close()
	conn, err := net.FileConn(near)
	if err != nil {
		t.Fatal(err)
	}
	far := os.NewFile(uintptr(pair[1]), "far")
	t.Cleanup(func() { _ = conn.Close(); _ = far.Close() })
	return conn.(*net.UnixConn), far
}

func openFiles(t *testing.T) []os.DirEntry {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return files
}
