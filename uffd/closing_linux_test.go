package uffd

import (
	"errors"
	"net"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// closing is what the methods in races with Close are called on.
type closing struct {
	fd      *FD
	pagemap *Pagemap
	batch   *Batch
	socket  *net.UnixConn
}

// racing are the methods that answer with an error, by type and name. A read does not wait: its deadline is over.
var racing = map[string]func(c closing) error{
	"FD.Close":           func(c closing) error { return errors.Join(c.fd.Close(), ErrClosed) },
	"FD.Continue":        func(c closing) error { _, err := c.fd.Continue(Range{}, 0); return err },
	"FD.Copy":            func(c closing) error { _, err := c.fd.Copy(0, nil, 0); return err },
	"FD.Move":            func(c closing) error { _, err := c.fd.Move(0, Range{}, 0); return err },
	"FD.Poison":          func(c closing) error { _, err := c.fd.Poison(Range{}, 0); return err },
	"FD.Pending":         func(c closing) error { _, _, err := c.fd.Pending(); return err },
	"FD.Protect":         func(c closing) error { return c.fd.Protect(Range{}) },
	"FD.RWProtect":       func(c closing) error { return c.fd.RWProtect(Range{}) },
	"FD.RWUnprotect":     func(c closing) error { return c.fd.RWUnprotect(Range{}) },
	"FD.rawContinue":     func(c closing) error { return c.fd.rawContinue(new(continueArg)) },
	"FD.rawCopy":         func(c closing) error { return c.fd.rawCopy(new(copyArg)) },
	"FD.rawMove":         func(c closing) error { return c.fd.rawMove(new(moveArg)) },
	"FD.rawPoison":       func(c closing) error { return c.fd.rawPoison(new(poisonArg)) },
	"FD.rawRWProtect":    func(c closing) error { return c.fd.rawRWProtect(new(rwProtectArg)) },
	"FD.rawRegister":     func(c closing) error { return c.fd.rawRegister(new(registerArg)) },
	"FD.rawSetMode":      func(c closing) error { return c.fd.rawSetMode(new(setModeArg)) },
	"FD.rawUnregister":   func(c closing) error { return c.fd.rawUnregister(new(rangeArg)) },
	"FD.rawWake":         func(c closing) error { return c.fd.rawWake(new(rangeArg)) },
	"FD.rawWriteProtect": func(c closing) error { return c.fd.rawWriteProtect(new(writeProtectArg)) },
	"FD.rawZeropage":     func(c closing) error { return c.fd.rawZeropage(new(zeropageArg)) },
	"FD.Read":            func(c closing) error { _, err := c.fd.Read(make([]Msg, 1)); return err },
	"FD.Register":        func(c closing) error { _, err := c.fd.Register(Range{}, ModeMissing); return err },
	"FD.Send":            func(c closing) error { return c.fd.Send(c.socket, []byte{1}) },
	"FD.SetMode":         func(c closing) error { return c.fd.SetMode(0, 0) },
	"FD.SetReadDeadline": func(c closing) error { return c.fd.SetReadDeadline(time.Unix(1, 0)) },
	"FD.TryRead":         func(c closing) error { _, err := c.fd.TryRead(make([]Msg, 1)); return err },
	"FD.Unregister":      func(c closing) error { return c.fd.Unregister(Range{}) },
	"FD.Unprotect":       func(c closing) error { return c.fd.Unprotect(Range{}) },
	"FD.Wait":            func(c closing) error { return c.fd.Wait() },
	"FD.Wake":            func(c closing) error { return c.fd.Wake(Range{}) },
	"FD.Zeropage":        func(c closing) error { _, err := c.fd.Zeropage(Range{}, 0); return err },
	"Pagemap.Close":      func(c closing) error { return errors.Join(c.pagemap.Close(), ErrClosed) },
	"Pagemap.Entries":    func(c closing) error { return c.pagemap.Entries(0, make([]PagemapEntry, 1)) },
	"Pagemap.rawScan":    func(c closing) error { _, errno := c.pagemap.rawScan(new(pagemapScanArg), nil); return errno },
	"Pagemap.Scan": func(c closing) error {
		return c.pagemap.Scan(Range{}, ScanQuery{}, make([]PageRegion, 1), func([]PageRegion) bool { return true })
	},
	"Batch.Continue":  func(c closing) error { _, err := c.batch.Continue(Range{}, 0); return err },
	"Batch.Copy":      func(c closing) error { _, err := c.batch.Copy(0, nil, 0); return err },
	"Batch.Move":      func(c closing) error { _, err := c.batch.Move(0, Range{}, 0); return err },
	"Batch.Poison":    func(c closing) error { _, err := c.batch.Poison(Range{}, 0); return err },
	"Batch.Unprotect": func(c closing) error { return c.batch.Unprotect(Range{}) },
	"Batch.Wake": func(c closing) error {
		c.batch.hull = Range{0, Addr(PageSize())} // with nothing to wake it would not look
		return c.batch.Wake()
	},
	"Batch.Zeropage": func(c closing) error { _, err := c.batch.Zeropage(Range{}, 0); return err },
}

// TestMethodsRacingClose has a method called over and over while somebody closes. What it says is what it said before,
// or ErrClosed; and once Close is done ErrClosed only.
func TestMethodsRacingClose(t *testing.T) {
	failing := reflect.TypeFor[error]()
	for _, typ := range []reflect.Type{reflect.TypeFor[*FD](), reflect.TypeFor[*Pagemap](), reflect.TypeFor[*Batch]()} {
		for i := range typ.NumMethod() {
			m := typ.Method(i)
			name := typ.Elem().Name() + "." + m.Name
			if name == "FD.Forked" {
				continue // the descriptor that it takes is open, whatever becomes of the parent's
			}
			if n := m.Type.NumOut(); n > 0 && m.Type.Out(n-1).Implements(failing) && racing[name] == nil {
				t.Errorf("%s is not in the list", name)
			}
		}
	}
	if !inChild(t) {
		return
	}
	noErr(t, "close", openTest(t).Close())
	tries := testproc.Times(50, 2000)
	for name, call := range racing {
		answers := map[string]int{}
		for range tries {
			if answer := raceClose(t, call); answer != "" {
				answers[answer]++
			}
		}
		for answer, times := range answers {
			t.Errorf("%s: %q, %d times in %d tries", name, answer, times, tries)
		}
	}
}

// raceClose closes while somebody calls, and returns the answer that is wrong, if there is one.
func raceClose(t *testing.T, call func(c closing) error) (wrong string) {
	t.Helper()
	fd, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	pagemap, err := OpenPagemap(0)
	if err != nil {
		t.Fatal(err)
	}
	near, far := unixPair(t)
	defer far.Close()
	defer near.Close()
	go drain(far)
	if err := fd.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	batch := fd.Batch()
	c := closing{fd, pagemap, &batch, near}
	before := answerOf(call(c))
	var closed atomic.Bool
	running, ended := make(chan bool), make(chan string)
	go func() {
		for first := true; ; first = false {
			after := closed.Load()
			got := answerOf(call(c))
			if first {
				close(running)
			}
			if got == answerOf(ErrClosed) {
				got = ""
			} else if !after && got == before {
				continue
			}
			ended <- got
			return
		}
	}()
	<-running
	for _, err := range []error{fd.Close(), pagemap.Close()} {
		if err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
	closed.Store(true)
	return <-ended
}

// answerOf is what a caller can tell of an error, without the numbers in its text.
func answerOf(err error) string {
	var errno unix.Errno
	switch {
	case errors.Is(err, ErrClosed) || err == errClosed:
		return "closed"
	case errors.As(err, &errno):
		return errno.Error()
	case err != nil:
		return err.Error()
	}
	return "no error"
}

func unixPair(t *testing.T) (near, far *net.UnixConn) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, conn := range []**net.UnixConn{&near, &far} {
		file := os.NewFile(uintptr(pair[i]), "socket")
		c, err := net.FileConn(file)
		if err != nil {
			t.Fatal(err)
		}
		*conn = c.(*net.UnixConn)
		noErr(t, "close", file.Close())
	}
	return near, far
}

// drain takes what comes, and closes the descriptors.
func drain(from *net.UnixConn) {
	for {
		control := make([]byte, 1024)
		_, n, _, _, err := from.ReadMsgUnix(make([]byte, 1024), control)
		if err != nil {
			return
		}
		closeAll(receivedRights(control[:n]))
	}
}

// sockets are the kinds that are handed to Send and Receive: that of package net, a file that does not block, which
// the poller knows, and one that does, as a child has it from its parent.
var sockets = map[string]func(t *testing.T, fd int) socket{
	"conn": func(t *testing.T, fd int) socket {
		file := os.NewFile(uintptr(fd), "socket")
		defer file.Close()
		conn, err := net.FileConn(file)
		if err != nil {
			t.Fatal(err)
		}
		return conn.(*net.UnixConn)
	},
	"file": func(t *testing.T, fd int) socket {
		noErr(t, "set nonblocking", unix.SetNonblock(fd, true))
		return os.NewFile(uintptr(fd), "socket")
	},
	"blocking file": func(_ *testing.T, fd int) socket { return os.NewFile(uintptr(fd), "socket") },
}

type socket interface {
	syscall.Conn
	Close() error
}

// A socket that is closed while Send or Receive waits for it, or before, is ErrClosed. A closed descriptor is, too, and its
// Close does not wait for a Send.
func TestHandOverRacingClose(t *testing.T) {
	if !inChild(t) {
		return
	}
	for kind, open := range sockets {
		for range testproc.Times(3, 100) {
			for name, c := range map[string]struct {
				call       func(fd *FD, s socket) error
				full, ofFD bool // the socket takes no more, and what is closed is the descriptor
			}{
				"Receive":                     {call: func(_ *FD, s socket) error { _, _, err := Receive(s, make([]byte, 8)); return err }},
				"Send":                        {call: func(fd *FD, s socket) error { return fd.Send(s, []byte{1}) }, full: true},
				"Send of a closed descriptor": {call: func(fd *FD, s socket) error { return fd.Send(s, []byte{1}) }, full: true, ofFD: true},
			} {
				pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				for err = nil; c.full && err == nil; {
					_, err = unix.SendmsgN(pair[0], make([]byte, 4096), nil, nil, unix.MSG_DONTWAIT)
				}
				fd, s := openTest(t), open(t, pair[0])
				answer := make(chan error, 1)
				go func() { answer <- c.call(fd, s) }()
				time.Sleep(time.Millisecond) // mostly it waits by now
				if c.ofFD {
					noErr(t, "close", fd.Close())
					_, err := unix.Read(pair[1], make([]byte, 1<<20))
					noErr(t, "read", err)
				} else {
					noErr(t, "close", s.Close())
				}
				if err := <-answer; !errors.Is(err, ErrClosed) {
					t.Errorf("%s, %s: %v", kind, name, err)
				}
				if err := c.call(fd, s); !errors.Is(err, ErrClosed) {
					t.Errorf("%s, %s after it: %v", kind, name, err)
				}
				_, _ = fd.Close(), s.Close() // one of them is closed
				noErr(t, "close", unix.Close(pair[1]))
			}
		}
	}
	if open := openDescriptors(); len(open) > 0 {
		t.Errorf("open: %s", strings.Join(open, ", "))
	}
}
