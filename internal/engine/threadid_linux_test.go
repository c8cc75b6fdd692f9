//go:build linux && (amd64 || arm64)

package engine

import (
	"runtime"
	"testing"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// The id that the runtime has of a thread is the kernel's, on new threads too.
func TestThreadOffsets(t *testing.T) {
	var words [mWords]uint64
	if readAt(raw.G(), &words) == 0 {
		t.Skip("process_vm_readv is refused: the kernel is asked for each thread's id")
	}
	m, id := threadOffsets()
	if m == 0 || id == 0 {
		t.Fatalf("where the runtime keeps the thread's id was not found: %+v", idPlaces())
	}
	seen := map[int]bool{}
	for range 20 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // the thread ends with the goroutine
			of := *at[uintptr](raw.G() + m)
			if have, want := *at[uint64](of + id), unix.Gettid(); have != uint64(want) {
				t.Errorf("thread %d, want %d", have, want)
			}
			seen[unix.Gettid()] = true
		}()
		<-done
	}
	if len(seen) < 10 {
		t.Errorf("only %d threads", len(seen))
	}
}
