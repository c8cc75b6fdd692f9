//go:build linux && (amd64 || arm64)

package spantab

import (
	"slices"
	"sync"
	"testing"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

func newSpans(t testing.TB) (*Table, *Spans) {
	t.Helper()
	get := func(size uintptr) uintptr {
		p, _, err := raw.Map(size, unix.PROT_READ|unix.PROT_WRITE)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { raw.Unmap(p, size) })
		return p
	}
	table := new(Table)
	table.Use(get(SpansSize), get(BindingsSize))
	return table, NewSpans(table)
}

func TestSizes(t *testing.T) {
	if unsafe.Sizeof(slot{}) != slotSize || unsafe.Offsetof(slot{}.regions) != slotRegions || unsafe.Sizeof(binding{}) != bindingSize {
		t.Errorf("a slot has %d bytes and its regions at %d, a binding %d", unsafe.Sizeof(slot{}), unsafe.Offsetof(slot{}.regions), unsafe.Sizeof(binding{}))
	}
}

// A span has what was counted while it ran, and its slot's next span nothing of that.
func TestTotals(t *testing.T) {
	table, spans := newSpans(t)
	ref := spans.Open()
	for region := range uint32(10) {
		for range 2 {
			if !table.Count(ref, 4096, region) {
				t.Fatal("a fault of a running span is not counted")
			}
			table.Settle(ref, int64(region)*1000)
		}
	}
	table.Block(ref, 7)
	spans.End(ref)
	if table.Count(ref, 4096, 0) {
		t.Error("a fault counts for a span that has ended")
	}
	table.Settle(0, 5)
	got := spans.Totals(ref)
	if got.Faults != 20 || got.Bytes != 20*4096 || got.Stall != 90_000 || got.Max != 9_000 || got.Blocked != 7 || !slices.Equal(got.Regions, []uint32{0, 1, 2, 3, 4, 5, 6, 7}) {
		t.Errorf("%+v", got)
	}
	spans.Release(ref)
	spans.Release(ref) // once
	next := spans.Open()
	if next == ref || uint32(next) != uint32(ref) || !spans.Ended(ref) || spans.Ended(next) || table.Count(ref, 1, 1) {
		t.Errorf("span %#x after %#x, which still counts", next, ref)
	}
	if got := spans.Totals(next); got.Faults != 0 || got.Bytes != 0 || got.Stall != 0 || got.Max != 0 || got.Blocked != 0 || got.Regions != nil {
		t.Errorf("a new span has %+v", got)
	}
}

// Spans beyond the last slot are refused, and those that were given back are had again.
func TestOpenAll(t *testing.T) {
	_, spans := newSpans(t)
	refs := make(map[uint64]bool)
	for range slots {
		refs[spans.Open()] = true
	}
	if len(refs) != slots || refs[0] || spans.Open() != 0 {
		t.Errorf("%d spans for %d slots", len(refs), slots)
	}
	for ref := range refs {
		spans.Release(ref)
	}
	if ref := spans.Open(); ref == 0 || refs[ref] {
		t.Errorf("span %#x after all were released", ref)
	}
}

// Counts of many threads are all there, also while spans end and slots change hands.
func TestCountAtOnce(t *testing.T) {
	table, spans := newSpans(t)
	const threads, rounds, each = 4, 50, 200
	for range rounds {
		ref := spans.Open()
		var counted [threads]uint64
		var wg sync.WaitGroup
		for i := range threads {
			wg.Go(func() {
				for j := range each {
					if table.Count(ref, 8, uint32(i)) {
						counted[i]++
						table.Settle(ref, 2)
					}
					if i == 0 && j == each/2 {
						spans.End(ref)
					}
				}
			})
		}
		wg.Wait()
		sum := uint64(0)
		for _, n := range counted {
			sum += n
		}
		if got := spans.Totals(ref); got.Faults != sum || got.Bytes != 8*sum || uint64(got.Stall) != 2*sum || counted[0] != each/2+1 {
			t.Fatalf("%+v, but %v were counted", got, counted)
		}
		spans.Release(ref)
	}
}

// A binding that is read while others come and go is the goroutine's own, or none.
func TestOfAtOnce(t *testing.T) {
	table, spans := newSpans(t)
	const goroutines = 64
	stop := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		for goid := uint64(1); ; goid = goid%goroutines + 1 {
			if ref := table.Of(goid); ref != 0 && ref>>8 != goid {
				t.Errorf("goroutine %d has the span %#x", goid, ref)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	var writers sync.WaitGroup
	for goid := uint64(1); goid <= goroutines; goid++ {
		writers.Go(func() {
			for i := range uint64(100) {
				ref := goid<<8 | i + 1
				if _, ok := spans.Bind(goid, ref); ok && table.Of(goid) != ref {
					t.Errorf("goroutine %d is bound to %#x, and is not", goid, ref)
				}
				if before, ok := spans.Bind(goid, 0); !ok || before != ref && before != 0 || table.Of(goid) != 0 {
					t.Errorf("goroutine %d was bound to %#x, want %#x", goid, before, ref)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

// Any order of binding and unbinding leaves what a map would, but for what is refused.
func FuzzBind(f *testing.F) {
	f.Add([]byte{1, 1, 2, 0, 1, 0})
	f.Fuzz(func(t *testing.T, steps []byte) {
		table, spans := newSpans(t)
		model := make(map[uint64]uint64)
		for i := 0; i+1 < len(steps); i += 2 {
			goid, ref := uint64(steps[i])*buckets/4, uint64(steps[i+1])
			before, ok := spans.Bind(goid, ref)
			if want := model[goid]; ok && before != want || !ok && goid != 0 && (len(model) < ways || want != 0) {
				t.Fatalf("bound %d to %d: was %d, %t; want %d", goid, ref, before, ok, want)
			}
			if ok {
				if model[goid] = ref; ref == 0 {
					delete(model, goid)
				}
			}
			for goid, want := range model {
				if got := table.Of(goid); got != want {
					t.Fatalf("goroutine %d has span %d, want %d", goid, got, want)
				}
			}
		}
	})
}
