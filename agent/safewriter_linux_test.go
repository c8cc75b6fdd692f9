package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// armingWriter has the region armed again before each write, a few times: as windows may.
type armingWriter struct {
	io.Writer
	arm   func()
	times int
}

func (w *armingWriter) Write(b []byte) (int, error) {
	if w.times > 0 {
		w.times--
		w.arm()
	}
	return w.Writer.Write(b)
}

// A SafeWriter hands memory over whole that no system call would take before its first touch: to a connection, a pipe and a
// file. Where the memory is armed again meanwhile its region is given back for good.
func TestSafeWriter(t *testing.T) {
	if !inChild(t) {
		return
	}
	h := hand(t, "data.db")
	a, err := Start(t.Context(), WithDelivery(profiler.DeliverySignal), WithFiles(h.file.Name()), Required())
	if errors.Is(err, profiler.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, a)
	look(t, a)
	want := func(b []byte) []byte {
		out := make([]byte, len(b))
		for i := 0; i < len(b); i += os.Getpagesize() {
			out[i] = '/'
		}
		return out
	}
	pages := func(n int) []byte {
		b := h.mem[h.page*os.Getpagesize():][:n*os.Getpagesize()]
		h.page += n
		return b
	}
	if n, err := a.SafeWriter(io.Discard).Write(nil); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	got := make(chan []byte, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			got <- nil
			return
		}
		all, _ := io.ReadAll(c)
		got <- all
	}()
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b := pages(16)
	if _, err := c.Write(b); !errors.Is(err, unix.EFAULT) {
		t.Fatalf("without it: %v, want EFAULT", err)
	}
	if n, err := a.SafeWriter(c).Write(b); n != len(b) || err != nil {
		t.Errorf("%d of %d bytes: %v", n, len(b), err)
	}
	c.Close()
	if all := <-got; !bytes.Equal(all, want(b)) {
		t.Errorf("%d bytes came, of %d", len(all), len(b))
	}
	r := a.Profiler().RegionsOf(b)
	if len(r) != 1 {
		t.Fatalf("%d regions", len(r))
	}
	if n := a.Profiler().Snapshot().RegionOf(r[0].ID()).Faults; n != 16 {
		t.Errorf("%d first touches, want 16", n)
	}
	out, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	arm := func() {
		if err := r[0].Rearm(); err != nil && !errors.Is(err, profiler.ErrClosed) && !errors.Is(err, profiler.ErrBusy) {
			t.Error(err)
		}
	}
	b = pages(8)
	if n, err := a.SafeWriter(&armingWriter{out, arm, 3}).Write(b); n != len(b) || err != nil {
		t.Errorf("armed again meanwhile: %d of %d bytes: %v", n, len(b), err)
	}
	if written, err := os.ReadFile(out.Name()); !bytes.Equal(written, want(b)) {
		t.Errorf("%d bytes were written, of %d: %v", len(written), len(b), err)
	}
	look(t, a)
	look(t, a)
	if n := len(a.Profiler().RegionsOf(b)); n != 0 || !r[0].Closed() {
		t.Errorf("%d regions observe what was given back for good", n)
	}
	if notes := fmt.Sprint(a.Notes()); !strings.Contains(notes, "not observed any more") {
		t.Errorf("no note says so: %s", notes)
	}
	if _, err := out.Write(pages(8)); err != nil { // plain memory
		t.Error(err)
	}
}
