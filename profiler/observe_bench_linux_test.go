//go:build linux && (amd64 || arm64)

package profiler

import (
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// observedOrNot runs a benchmark twice: as it is, and while page faults are observed.
func observedOrNot(b *testing.B, f func(b *testing.B)) {
	b.Run("plain", f)
	for _, s := range []struct {
		name string
		how  StackSampling
	}{{"observed", StacksEvery()}, {"observed-no-stacks", StacksNone()}} {
		b.Run(s.name, func(b *testing.B) {
			p, err := New(WithDelivery(DeliveryObserve), WithStacks(s.how))
			if err != nil {
				b.Skip(err)
			}
			defer p.Close()
			f(b)
			b.ReportMetric(float64(p.Snapshot().Stats.Dropped)/float64(b.N), "lost/op")
		})
	}
}

// BenchmarkObservedFault is a page fault of fresh memory, which no region has: 6,000 a second or fewer, as a service may have.
func BenchmarkObservedFault(b *testing.B) {
	observedOrNot(b, func(b *testing.B) {
		const pages = 256
		page := os.Getpagesize()
		m, err := unix.Mmap(-1, 0, pages*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			b.Fatal(err)
		}
		defer unix.Munmap(m)
		unix.Madvise(m, unix.MADV_NOHUGEPAGE)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var took time.Duration
		for i := 0; b.Loop(); i++ {
			if i%pages == 0 {
				if err := unix.Madvise(m, unix.MADV_DONTNEED); err != nil {
					b.Fatal(err)
				}
				time.Sleep(20 * time.Millisecond)
			}
			at := threadTime()
			m[i%pages*page] = 1
			took += threadTime() - at
		}
		b.ReportMetric(float64(took)/float64(b.N), "cpu-ns/fault")
	})
}

// BenchmarkObservedSwitch is two switches of threads: a byte to another thread, by a pipe, and back.
func BenchmarkObservedSwitch(b *testing.B) {
	observedOrNot(b, func(b *testing.B) {
		var there, back [2]int
		if err := unix.Pipe2(there[:], unix.O_CLOEXEC); err != nil {
			b.Fatal(err)
		}
		if err := unix.Pipe2(back[:], unix.O_CLOEXEC); err != nil {
			b.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			defer close(ended)
			var one [1]byte
			for {
				if n, _ := unix.Read(there[0], one[:]); n != 1 {
					return
				}
				unix.Write(back[1], one[:])
			}
		}()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var one [1]byte
		before := processorTime()
		defer func() { b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op") }()
		for b.Loop() {
			unix.Write(there[1], one[:])
			unix.Read(back[0], one[:])
		}
		unix.Close(there[1])
		<-ended
		unix.Close(there[0])
		unix.Close(back[0])
		unix.Close(back[1])
	})
}
