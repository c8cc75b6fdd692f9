package uffd

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var errDeadline = os.ErrDeadlineExceeded

func isErr(err error, targets ...error) bool {
	for _, target := range targets {
		if !errors.Is(err, target) {
			return false
		}
	}
	return true
}

// touchFaults loads the first byte of p and reports whether that was a SIGBUS.
func touchFaults(p []byte) (fatal bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { fatal = recover() != nil }()
	runtime.KeepAlive(p[0])
	return false
}

// waitUntil yields until cond holds; the child's budget bounds it.
func waitUntil(cond func() bool) {
	for !cond() {
		time.Sleep(time.Millisecond)
	}
}

// readers is how many goroutines wait in FD.Read for the descriptor to become readable.
func readers() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	n := 0
	for goroutine := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(goroutine, "[IO wait") && strings.Contains(goroutine, "uffd.(*FD).Read") {
			n++
		}
	}
	return n
}

func TestCloseUnblocksReaders(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openTest(t)
	const waiting = 3
	errs := make(chan error, waiting)
	for range waiting {
		go func() {
			_, err := fd.Read(make([]Msg, 1))
			errs <- err
		}()
	}
	waitUntil(func() bool { return readers() >= 1 }) // the others wait for their turn
	if err := fd.Close(); err != nil {
		t.Fatal(err)
	}
	for range waiting {
		if err := <-errs; !errors.Is(err, ErrClosed) {
			t.Errorf("a reader got %v", err)
		}
	}
	if left := openDescriptors(); len(left) != 0 {
		t.Errorf("open after Close: %v", left)
	}
}

// A deadline that is set while Read waits ends it.
func TestDeadlineReachesAWaitingReader(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openTest(t)
	errs := make(chan error, 1)
	go func() {
		_, err := fd.Read(make([]Msg, 1))
		errs <- err
	}()
	waitUntil(func() bool { return readers() == 1 })
	if err := fd.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; !errors.Is(err, errDeadline) {
		t.Error(err)
	}
}

func TestReadBuffers(t *testing.T) {
	fd := openTest(t)
	if _, err := fd.Read(nil); !isErr(err, ErrInvalid, unix.EINVAL) {
		t.Errorf("Read into nothing: %v", err)
	}
	if _, err := fd.TryRead(nil); !isErr(err, ErrInvalid, unix.EINVAL) {
		t.Errorf("TryRead into nothing: %v", err)
	}
	if n, err := fd.TryRead(make([]Msg, 4)); n != 0 || err != nil {
		t.Errorf("TryRead of nothing: %d, %v", n, err)
	}
}

// One Read returns the messages of several threads; a buffer that is too small leaves the rest.
func TestReadInBatches(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openKernelMode(t, WithFeatures(FeatureThreadID))
	const threads = 5
	mem := anonymous(t, threads)
	register(t, fd, mem, ModeMissing)
	var done []<-chan touched
	for n := range threads {
		done = append(done, writeToPipe(t, page(mem, n)))
	}
	waitUntil(func() bool { return waiters(t, fd).pending == threads })
	msgs := make([]Msg, 64)
	first, err := fd.TryRead(msgs[:2])
	if first != 2 || err != nil {
		t.Fatalf("%d messages into a buffer for 2, %v", first, err)
	}
	rest, err := fd.Read(msgs[2:])
	if rest != threads-2 || err != nil {
		t.Fatalf("%d messages left, %v; want %d", rest, err, threads-2)
	}
	pages, ids := map[Addr]bool{}, map[int32]bool{}
	for i := range msgs[:threads] {
		pages[msgs[i].Address()], ids[msgs[i].Thread()] = true, true
	}
	if len(pages) != threads || len(ids) != threads {
		t.Errorf("%d pages and %d threads in %d messages", len(pages), len(ids), threads)
	}
	if _, err := fd.Copy(RangeOf(mem).Start, pattern(8, threads), 0); err != nil {
		t.Fatal(err)
	}
	for n := range threads {
		if got := <-done[n]; got.err != nil || got.value != 8 {
			t.Errorf("thread %d wrote %d, %v", n, got.value, got.err)
		}
	}
}
