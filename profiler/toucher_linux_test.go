//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"runtime"
	"strconv"
	"testing"

	"github.com/firsttouch/firsttouch/internal/engine"
	"golang.org/x/sys/unix"
)

// order is a touch that somebody is asked to make.
type order struct {
	way    *way
	region *Region
	memory []byte // of the region
	lo, hi int    // the part of one page that is touched
}

// made is a touch that was made, and everything that is known about it.
type made struct {
	order
	thread        int32
	goroutine     uint64
	before, after int64 // CLOCK_MONOTONIC
	err           error
}

// toucher is a goroutine, locked to a thread of its own, that touches what it is told.
type toucher struct {
	orders chan order
	done   chan made
	pipe   [2]int
}

func newToucher(t *testing.T) *toucher {
	t.Helper()
	w := &toucher{orders: make(chan order), done: make(chan made)}
	if err := unix.Pipe2(w.pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		for o := range w.orders {
			w.done <- w.perform(o)
		}
	}()
	t.Cleanup(func() {
		close(w.orders)
		<-ended
		unix.Close(w.pipe[0])
		unix.Close(w.pipe[1])
	})
	return w
}

// touch has the toucher do it, and returns when it has.
func (w *toucher) touch(t *testing.T, o order) made {
	t.Helper()
	w.orders <- o
	m := <-w.done
	if m.err != nil {
		t.Fatalf("%s of page %d: %v", o.way.name, o.lo/pageSize, m.err)
	}
	return m
}

//go:noinline
func (w *toucher) perform(o order) made {
	x := &touch{part: o.memory[o.lo:o.hi], other: make([]byte, o.hi-o.lo), pipe: w.pipe}
	for i := range x.other {
		x.other[i] = byte(i)
	}
	if o.way.system && o.way.access == Write {
		_, x.err = unix.Write(w.pipe[1], x.other)
	}
	m := made{order: o, thread: int32(unix.Gettid()), goroutine: goroutineID()}
	m.before = int64(engine.Now())
	o.way.touch(x)
	m.after = int64(engine.Now())
	if o.way.system && o.way.access == Read && x.err == nil {
		_, x.err = unix.Read(w.pipe[0], x.other)
	}
	m.err = x.err
	return m
}

// goroutineID reads the id from the head of the stack dump: "goroutine 7 [running]:".
func goroutineID() uint64 {
	b := make([]byte, 64)
	b = b[:runtime.Stack(b, false)]
	id, err := strconv.ParseUint(string(bytes.Fields(b)[1]), 10, 64)
	if err != nil {
		panic(err)
	}
	return id
}
