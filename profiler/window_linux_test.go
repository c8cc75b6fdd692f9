//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// wordAt checks one word of a file made by newFile.
func wordAt(t *testing.T, b []byte, offset int) {
	if got := binary.LittleEndian.Uint64(b[offset:]); got != uint64(offset)+1 {
		t.Errorf("offset %d holds %d, want %d", offset, got, offset+1)
	}
}

// Each window sees exactly what was touched in it, while other readers go on through the re-arming
// and always find the file's contents.
func TestWindows(t *testing.T) {
	const pages, half, readers = 512, 256, 4
	windows := testproc.Times(10, 25)
	for _, c := range []struct {
		name     string
		kind     Kind
		delivery Delivery
	}{
		{"mapped", KindMappedFile, DeliveryThread},
		{"attached", KindAttached, DeliveryThread},
		{"mapped by signal", KindMappedFile, DeliverySignal},
		{"attached by signal", KindAttached, DeliverySignal},
	} {
		t.Run(c.name, func(t *testing.T) {
			kind := c.kind
			p := newProfiler(t, WithDelivery(c.delivery))
			path := newFile(t, pages*pageSize)
			var r *Region
			var b []byte
			if kind == KindAttached {
				b = mapFile(t, path, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
				r = attach(t, p, path)
			} else {
				var err error
				if r, err = p.MapFile(path); err != nil {
					t.Fatal(err)
				}
				b = r.Bytes()
			}
			stop := background(t, b[:half*pageSize])
			defer stop()
			rnd := rand.New(rand.NewPCG(5, 6))
			for window := range windows {
				before := p.Snapshot()
				want := rnd.Perm(half)[:rnd.IntN(half)]
				var wg sync.WaitGroup
				for g := range readers {
					wg.Go(func() {
						for k := g; k < len(want); k += readers {
							wordAt(t, b, (half+want[k])*pageSize+8*(k%500))
						}
					})
				}
				wg.Wait()
				s := p.Snapshot().Sub(before)
				checkWindow(t, s)
				checkUpperHalf(t, s, half, want)
				if err := r.Rearm(); err != nil {
					t.Fatalf("window %d: %v", window, err)
				}
			}
			stop()
			if !bytes.Equal(b, contents(pages*pageSize)) {
				t.Error("wrong contents")
			}
			s := p.Snapshot()
			checkSums(t, s)
			if got := s.Regions[0]; got.Rearms != uint64(windows) || got.Touched != pages*int64(pageSize) || s.Stats.ResolveErrs != 0 {
				t.Errorf("re-armed %d times, %d bytes touched, %+v", got.Rearms, got.Touched, s.Stats)
			}
		})
	}
}

// background reads random words until stop is called, from two goroutines.
func background(t *testing.T, b []byte) (stop func()) {
	var wg sync.WaitGroup
	var over atomic.Bool
	for seed := range uint64(2) {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(7, seed))
			for !over.Load() {
				wordAt(t, b, 8*rnd.IntN(len(b)/8))
			}
		})
	}
	return func() { over.Store(true); wg.Wait() }
}

// checkUpperHalf compares the touched pages from page half on, each of which is one fault.
func checkUpperHalf(t *testing.T, s *Snapshot, half int, want []int) {
	t.Helper()
	var faults, touched []int
	for _, f := range s.Faults {
		if i := int(f.Offset) / pageSize; i >= half {
			faults = append(faults, i-half)
		}
	}
	for offset := range s.Regions[0].TouchedGranules {
		if i := int(offset) / pageSize; i >= half {
			touched = append(touched, i-half)
		}
	}
	want = slices.Sorted(slices.Values(want))
	slices.Sort(faults)
	if !slices.Equal(faults, want) || !slices.Equal(touched, want) {
		t.Errorf("%d pages touched, but %d faults and %d granules", len(want), len(faults), len(touched))
	}
}

// What cannot be armed again says so.
func TestRearmRefused(t *testing.T) {
	p := newProfiler(t)
	f, err := p.MapFile(newFile(t, pageSize))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Rearm(); !errors.Is(err, ErrClosed) {
		t.Errorf("closed file: %v", err)
	}
}
