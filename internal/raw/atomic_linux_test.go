//go:build linux && (amd64 || arm64)

package raw

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// values has the edges of the type and enough in between that a wrong width or sign shows.
func values() []uint64 {
	v := []uint64{0, 1, 2, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, ^uint64(0)}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		v = append(v, rnd.Uint64())
	}
	return v
}

// guarded has neighbours that a too wide access would change.
type guarded[T uint32 | uint64] struct{ before, v, after T }

func (g *guarded[T]) check(t *testing.T, want T) {
	t.Helper()
	if g.v != want || g.before != ^T(0) || g.after != ^T(0) {
		t.Fatalf("%#x between %#x and %#x, want %#x alone changed", g.v, g.before, g.after, want)
	}
}

func TestAtomics32AgreeWithSyncAtomic(t *testing.T) {
	all := values()
	for i, v := range all {
		a, b := uint32(v), uint32(all[(i+1)%len(all)])
		g := guarded[uint32]{^uint32(0), a, ^uint32(0)}
		want := a
		if got := Load32(&g.v); got != a {
			t.Fatalf("Load32 %#x, want %#x", got, a)
		}
		if got, w := Add32(&g.v, b), atomic.AddUint32(&want, b); got != w {
			t.Fatalf("Add32(%#x, %#x) = %#x, want %#x", a, b, got, w)
		}
		g.check(t, want)
		if Cas32(&g.v, want+1, 7) || !Cas32(&g.v, want, b) {
			t.Fatalf("Cas32 of %#x", want)
		}
		g.check(t, b)
		Store32(&g.v, a)
		g.check(t, a)
		Release32(&g.v, b)
		g.check(t, b)
	}
}

func TestAtomics64AgreeWithSyncAtomic(t *testing.T) {
	all := values()
	for i, a := range all {
		b := all[(i+1)%len(all)]
		g := guarded[uint64]{^uint64(0), a, ^uint64(0)}
		want := a
		if got := Load64(&g.v); got != a {
			t.Fatalf("Load64 %#x, want %#x", got, a)
		}
		if got, w := Add64(&g.v, b), atomic.AddUint64(&want, b); got != w {
			t.Fatalf("Add64(%#x, %#x) = %#x, want %#x", a, b, got, w)
		}
		g.check(t, want)
		if Cas64(&g.v, want^1<<63, 7) || !Cas64(&g.v, want, b) {
			t.Fatalf("Cas64 of %#x", want)
		}
		g.check(t, b)
		Store64(&g.v, a)
		g.check(t, a)
	}
}

// Half of the goroutines add by Add, half by Cas: nothing is lost, and each sum is returned once.
func TestAtomicsLoseNoUpdate(t *testing.T) {
	const workers, each = 8, 5000
	var n32 uint32
	var n64 uint64
	seen := make([]atomic.Bool, workers*each+1)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				if w%2 == 0 {
					Add32(&n32, 1)
					if seen[Add64(&n64, 1)].Swap(true) {
						t.Error("Add64 returned the same sum twice")
					}
					continue
				}
				for v := Load32(&n32); !Cas32(&n32, v, v+1); v = Load32(&n32) {
				}
				v := Load64(&n64)
				for ; !Cas64(&n64, v, v+1); v = Load64(&n64) {
				}
				if seen[v+1].Swap(true) {
					t.Error("Cas64 succeeded twice from the same value")
				}
			}
		})
	}
	wg.Wait()
	if n32 != workers*each || n64 != workers*each {
		t.Errorf("%d and %d, want %d", n32, n64, workers*each)
	}
}

// Two threads that each store and then look: at least one sees the other's store. Plain stores do
// not promise that, and the engine's stop and freeze flags need it. Where sync/atomic does not keep it
// either, the machine does not: qemu 7.2 emulates STLR and LDAR of arm64, which both use, without
// their order.
func TestStoresAreSequentiallyConsistent(t *testing.T) {
	n := reordered(Store32, Load32)
	if n == 0 {
		return
	}
	for range 20 {
		if of := reordered(atomic.StoreUint32, atomic.LoadUint32); of > 0 {
			t.Skipf("this machine reorders the stores and loads of sync/atomic too: %d of %d times", of, litmusRounds)
		}
	}
	t.Errorf("in %d of %d rounds neither saw the other's store", n, litmusRounds)
}

const litmusRounds = 20000

// reordered counts the rounds in which neither thread saw the other's store.
func reordered(store func(*uint32, uint32), load func(*uint32) uint32) uint32 {
	var flag [2]struct {
		v uint32
		_ [60]byte
	}
	var start, saw [2]uint32
	var wg sync.WaitGroup
	for me := range uint32(2) {
		other := 1 - me
		wg.Go(func() {
			for r := uint32(1); r <= litmusRounds; r++ {
				store(&start[me], r)
				await(load, &start[other], r)
				store(&flag[me].v, r)
				if load(&flag[other].v) >= r {
					saw[me]++
				} else {
					// The other one is behind: it will find the flag.
					await(load, &flag[other].v, r)
				}
			}
		})
	}
	wg.Wait()
	return litmusRounds - min(saw[0]+saw[1], litmusRounds)
}

// await spins, so that both go on at the same moment, but not for ever on one processor.
func await(load func(*uint32) uint32, p *uint32, v uint32) {
	for i := 0; load(p) < v; i++ {
		if i > 1000 {
			runtime.Gosched()
		}
	}
}
