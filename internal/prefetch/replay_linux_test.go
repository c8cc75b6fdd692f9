package prefetch

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/slowfs"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/internal/touchorder"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

const (
	slowFile  = "FIRSTTOUCH_TEST_PREFETCH_SLOW"
	slowDelay = 10 * time.Millisecond
	slowPages = 64
	slowStep  = 16 // pages between two that are touched: a read of the kernel's brings in no other one
)

// TestStoreThatHoldsAllProcessors replays reports such as grafana/mimir#1804 and thanos-io/thanos#6070: after a restart the goroutines that
// read a mapped file from a slow store hold all Ps in page faults, and health checks, which touch none of it, are late. From the symptom
// to what the profiler says, from there to an order, and to the next start with it.
func TestStoreThatHoldsAllProcessors(t *testing.T) {
	uffdtest.Need(t)
	path := slowfs.Serve(t, slowfs.File{Contents: make([]byte, slowPages*slowStep*os.Getpagesize()), Delay: slowDelay, Keep: true})
	t.Log(testproc.Run(t, "TestStoreThatHoldsAllProcessorsInChild", []string{slowFile + "=" + path, "GOMAXPROCS=2"}, 20*time.Second))
}

func TestStoreThatHoldsAllProcessorsInChild(t *testing.T) {
	path := os.Getenv(slowFile)
	if path == "" {
		t.Skip("runs in a child")
	}
	cold, late := startOn(t, path)
	order := OrderOf(cold, "a cold start").Order
	if failed := order.Identify(); len(failed) > 0 {
		t.Fatal(failed)
	}
	before := Measure(order, cold)
	if before.Waited != slowPages || before.Expected < slowPages*slowDelay || order.Bytes() != slowPages*int64(os.Getpagesize()) {
		t.Fatalf("the cold start: %+v, %d bytes", before, order.Bytes())
	}
	t.Logf("cold: %d of %d first touches waited, %v in all; a health check was %v late", before.Waited, before.Touches, before.Expected, late)

	dropFile(t, path)
	r, err := order.Run(context.Background(), touchorder.Options{})
	if err != nil || r.Done != order.Bytes() {
		t.Fatalf("%+v, %v", r, err)
	}
	warm, late := startOn(t, path)
	after := Measure(order, warm)
	if after.Found != slowPages || after.Waited != 0 || after.InVain != 0 || after.Left != 0 {
		t.Errorf("the start after the prefetch: %+v", after)
	}
	t.Logf("after a prefetch of %v: %d of %d first touches found their page; a health check was %v late", r.Took.Round(time.Millisecond), after.Found, after.Touches, late)
}

// dropFile has the page cache forget a file that is not mapped.
func dropFile(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}

// startOn is a start of the service: four workers read the mapped file, and a health check wants to run every millisecond. It returns what the
// profiler saw, and by how much the latest check was late.
func startOn(t *testing.T, path string) (*profiler.Snapshot, time.Duration) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page := os.Getpagesize()
	mem, err := unix.Mmap(int(f.Fd()), 0, slowPages*slowStep*page, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	if err := unix.Madvise(mem, unix.MADV_RANDOM); err != nil {
		t.Fatal(err)
	}
	p, err := profiler.New(profiler.WithFailingSystemCalls(), profiler.WithStopLimit(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	patiently(t, func() error { _, err := p.AttachFile(path); return err })
	var sum, next atomic.Int64
	var workers, checks sync.WaitGroup
	stop := make(chan struct{})
	late := time.Duration(0)
	checks.Go(func() {
		for {
			asked := time.Now()
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			late = max(late, time.Since(asked)-time.Millisecond)
		}
	})
	for range 4 {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < slowPages; i = next.Add(1) - 1 {
				sum.Add(int64(mem[int(i)*slowStep*page]))
				runtime.Gosched()
			}
		})
	}
	workers.Wait()
	close(stop)
	checks.Wait()
	p.Flush()
	s := p.Snapshot()
	patiently(t, p.Close)
	return s, late
}

// patiently tries again while other threads cannot be stopped.
func patiently(t *testing.T, do func() error) {
	t.Helper()
	for deadline := time.Now().Add(testproc.Budget(10 * time.Second)); ; time.Sleep(10 * time.Millisecond) {
		if err := do(); err == nil {
			return
		} else if !errors.Is(err, profiler.ErrBusy) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
