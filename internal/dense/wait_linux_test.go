package dense

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// A wait is tried after a short one only, finds what is there, gives up where nothing comes, and is not tried where there is
// one processor.
func TestWait(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := w.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	fd := int(r.Fd())
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	var d Waiter
	d.Waited(0)
	if d.Wait(fd) {
		t.Error("the zero value waits")
	}
	const most = 200 * time.Microsecond
	d.Allow(most)
	if d.Waited(most); d.Wait(fd) {
		t.Error("tried after a long wait")
	}
	d.Waited(most / 2)
	for range 2 {
		if !d.Wait(fd) {
			t.Error("what is there was not found")
		}
	}
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if d.Wait(fd) {
		t.Error("found where nothing is")
	}
	if _, err := w.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if d.Wait(fd) {
		t.Error("tried after one that failed")
	}
	runtime.GOMAXPROCS(1)
	var alone Waiter
	alone.Allow(most)
	if alone.Waited(0); alone.Wait(fd) {
		t.Error("tried with one processor")
	}
}

// A collection does not wait for a wait: other goroutines go on, and the world stops.
func TestCollectionsGoOn(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fd := int(r.Fd())
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	stop, ended := make(chan struct{}), make(chan int)
	go func() {
		var d Waiter
		d.Allow(time.Hour) // a loop of short system calls
		d.Waited(0)
		waits := 0
		for {
			select {
			case <-stop:
				ended <- waits
				return
			default:
				d.Wait(fd)
				d.Waited(0)
				waits++
			}
		}
	}()
	for range 20 {
		runtime.GC()
	}
	if _, err := w.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	close(stop)
	if waits := <-ended; waits == 0 {
		t.Error("nothing was waited for")
	}
}
