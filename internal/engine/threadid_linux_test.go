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
	var word [8]byte
	n, err := unix.ProcessVMReadv(unix.Getpid(), []unix.Iovec{{Base: &word[0], Len: 8}},
		[]unix.RemoteIovec{{Base: raw.G(), Len: len(word)}}, 0)
	if err == unix.EPERM || err == unix.ENOSYS {
		t.Skipf("process_vm_readv is refused, so that the kernel is asked for each thread's id: %v", err)
	} else if n != len(word) || err != nil {
		t.Fatalf("process_vm_readv: %d bytes, %v", n, err)
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
