package agent

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// Shutdown returns when its context ends, though a thread never lets itself be stopped and nothing can be given back: what is observed stays
// served. Another call finishes once the thread can be stopped.
func TestShutdownWhileNothingCanBeGivenBack(t *testing.T) {
	if os.Getenv("SHUTDOWN_CHILD") == "" {
		t.Log(testproc.Run(t, t.Name(), []string{"SHUTDOWN_CHILD=1"}, time.Minute))
		return
	}
	uffdtest.Need(t)
	const pages = 64
	path, mem := database(t, pages)
	a := start(t, WithFiles(path), WithDelivery(profiler.DeliveryThread))
	signal := a.Profiler().Snapshot().Stats.Signal
	deaf, over, heard := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(heard)
		runtime.LockOSThread() // and it ends with the goroutine
		var all unix.Sigset_t
		all.Val[(signal-1)/64] = 1 << ((signal - 1) % 64)
		if err := unix.PthreadSigmask(unix.SIG_BLOCK, &all, nil); err != nil {
			t.Error(err)
		}
		close(deaf)
		<-over
	}()
	<-deaf
	for _, most := range []time.Duration{-1, time.Millisecond, 100 * time.Millisecond, 2 * time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), most)
		err := a.Shutdown(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v, want that the time is over", most, err)
		}
		for i := range pages / 2 {
			if page := mem[i*len(mem)/pages]; page != byte(i) {
				t.Fatalf("page %d begins with %d", i, page)
			}
		}
	}
	if a.Profiler().Snapshot().Regions[0].Detached {
		t.Error("the file was given back while a thread could not be stopped")
	}
	close(over)
	<-heard
	if err := a.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for i := range pages {
		if page := mem[i*len(mem)/pages]; page != byte(i) {
			t.Fatalf("afterwards page %d begins with %d", i, page)
		}
	}
	if s := a.Profiler().Snapshot(); !s.Regions[0].Detached || s.Regions[0].Faults != pages/2 {
		t.Errorf("%d first touches, want %d; given back: %v", s.Regions[0].Faults, pages/2, s.Regions[0].Detached)
	}
}

// Nor does it wait for thousands of mappings that take long to be given back: they all are, behind its back.
func TestShutdownOfManyMappings(t *testing.T) {
	if os.Getenv("SHUTDOWN_CHILD") == "" {
		t.Log(testproc.Run(t, t.Name(), []string{"SHUTDOWN_CHILD=1"}, time.Minute))
		return
	}
	uffdtest.Need(t)
	const mappings = 2000
	path, first := database(t, 2)
	all := [][]byte{first}
	for range mappings - 1 {
		all = append(all, mapFile(t, path, len(first)))
	}
	a := start(t, WithFiles(path))
	eventually(t, "all are observed", func() bool {
		s := a.Profiler().Snapshot()
		return len(s.Regions) == 1 && len(s.Regions[0].Mappings) == mappings
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := a.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := a.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if s := a.Profiler().Snapshot(); !s.Regions[0].Detached {
		t.Error("they were not given back")
	}
	for i, b := range all {
		if b[0] != 0 || b[len(b)/2] != 1 {
			t.Fatalf("mapping %d holds %d and %d", i, b[0], b[len(b)/2])
		}
	}
}
