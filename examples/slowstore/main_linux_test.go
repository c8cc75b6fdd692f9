package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/uffd"
)

// TestSlowStore asks for pieces, then for all, then for an extent that the store does not give. In a
// child, since a page that never comes is a hang.
func TestSlowStore(t *testing.T) {
	const child = "SLOWSTORE_TEST_CHILD"
	if os.Getenv(child) == "" {
		testproc.Run(t, t.Name(), []string{child + "=1"}, time.Minute)
		return
	}
	const extents, broken = 12, 10
	content := make([]byte, extents*extent-1000)
	for i := range content {
		content[i] = byte(i / 1000)
	}
	var loads [extents]atomic.Int32
	r, err := open(func(p []byte, off int64) (int, error) {
		if loads[off/extent].Add(1); off/extent == broken {
			return 0, errors.New("the store is away")
		}
		return bytes.NewReader(content).ReadAt(p, off)
	}, len(content))
	if errors.Is(err, uffd.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- r.serve() }()
	if got := ask(t, r, 5*extent+7, 100); !bytes.Equal(got, content[5*extent+7:][:100]) {
		t.Errorf("a piece is wrong: %d bytes", len(got))
	}
	// One piece is its extent and the next.
	for loads[6].Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	for e := range loads {
		if want := e == 5 || e == 6; (loads[e].Load() == 1) != want {
			t.Errorf("extent %d was asked for %d times", e, loads[e].Load())
		}
	}
	if got := ask(t, r, 0, broken*extent); !bytes.Equal(got, content[:broken*extent]) {
		t.Errorf("all but the broken is wrong: %d bytes", len(got))
	}
	if uffd.HaveIoctl(uffd.IoctlPoison) == nil {
		if got := ask(t, r, broken*extent, 100); len(got) != 0 {
			t.Errorf("%d bytes of what the store does not give", len(got))
		}
	}
	if got := ask(t, r, 11*extent, 100); !bytes.Equal(got, content[11*extent:][:100]) {
		t.Errorf("behind the broken: %d bytes", len(got))
	}
	if got := ask(t, r, 0, extents*extent+1); len(got) != 0 {
		t.Errorf("%d bytes of a range beyond the end", len(got))
	}
	for e := range loads {
		if n := loads[e].Load(); n > 1 || n == 0 && e < broken {
			t.Errorf("extent %d was asked for %d times in all", e, n)
		}
	}
	if err := r.fd.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; !errors.Is(err, uffd.ErrClosed) {
		t.Errorf("serve ended with %v", err)
	}
	if err := syscall.Munmap(r.mem); err != nil {
		t.Error(err)
	}
}

// ask is a client.
func ask(t *testing.T, r *region, from, n int) []byte {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			r.answer(c)
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintln(c, from, n); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
