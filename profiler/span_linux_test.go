//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A span that waits for a fault in flight when it ends delays nobody else's spans: requests begin and end
// meanwhile. The fault cannot finish here, because every restore of the file is refused.
func TestEndOfASpanDelaysNoOther(t *testing.T) {
	inChild(t, "TestEndOfASpanDelaysNoOther", "all", nil, func(t *testing.T) {
		p, err := New(WithFailingSystemCalls()) // never closed: somebody waits for the file until the process ends
		if errors.Is(err, ErrNotSupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		path := newFile(t, 4*pageSize)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := unix.Mmap(int(f.Fd()), 0, 4*pageSize, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.AttachFile(path, WithRegionGranule(4*pageSize)); err != nil {
			t.Fatal(err)
		}
		must(t, os.Remove(path)) // by its path it would be mapped anew
		refuseCall(t, unix.SYS_MREMAP, 0, unix.EPERM)
		s := p.StartSpan([16]byte{1}, [8]byte{1})
		go func() { b0.Store(uint32(b[0])) }()
		for p.eng.Stats().Errors == 0 {
			time.Sleep(time.Millisecond)
		}
		ended := make(chan SpanStats)
		go func() { ended <- s.End() }()
		for !p.eng.Ended(s.ref) {
			time.Sleep(10 * time.Microsecond)
		}
		others := 0
		for {
			o := p.StartSpan([16]byte{2}, [8]byte{2})
			o.End()
			o.Release()
			others++
			select {
			case got := <-ended:
				if got.Faults != 1 || got.Stall != 0 || got.TraceID != [16]byte{1} {
					t.Errorf("the span ended with %+v, want the fault in flight", got)
				}
				if others < 3 {
					t.Errorf("%d other spans while it ended", others)
				}
				if again := s.End(); again.Faults != 1 {
					t.Errorf("again: %+v", again)
				}
				return
			default:
			}
		}
	})
}

var b0 atomic.Uint32
