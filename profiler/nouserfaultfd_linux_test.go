//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// Where userfaultfd can be had by nobody, as in a container with the usual seccomp filter, delivery by signal observes
// files, arenas and private memory that holds something: each page once in each window, while the garbage collector stops
// the world again and again, as root and as a user without capabilities.
func TestNoUserfaultfd(t *testing.T) {
	const top, pages, windows = "TestNoUserfaultfd", 600, 3
	body := func(t *testing.T) {
		runtime.LockOSThread() // the name space without a device is this thread's
		hideDevice(t)
		refuse(t)
		if p, err := New(); err == nil {
			p.Close()
			t.Fatal("a userfaultfd can be had all the same")
		}
		engine.WithoutGuards = os.Getenv(testproc.WithoutGuardsEnv) != ""
		p, err := New(WithDelivery(DeliverySignal), WithGranule(pageSize), WithStopLimit(10*time.Second))
		must(t, err)
		defer func() { must(t, p.Close()) }()
		if p.eng.Without() == nil || !p.Snapshot().Stats.UserModeOnly {
			t.Error("it does not know that it has no userfaultfd")
		}
		collecting(t)
		path := newFile(t, pages*pageSize)
		mapped := mapFile(t, path, pages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		file, err := p.AttachFile(path)
		must(t, err)
		arena := newArena(t, p, "arena", pages*pageSize)
		cache := mapMemory(t, pages)
		memory := attachMemory(t, p, cache)
		rnd := rand.New(rand.NewPCG(1, 2))
		for _, k := range []*truth{newTruth(file, mapped), newTruth(arena, arena.Bytes()), newTruth(memory, cache)} {
			k.storm(t, 4) // all pages
			for range windows {
				rearm(t, k.region)
				k.window(t, p, rnd, 4)
			}
			k.end(t)
			n := p.Snapshot().Regions[k.region.ID()]
			if n.Faults == 0 || n.Rearms != windows {
				t.Errorf("%s: %d faults in %d windows", k.region.Name(), n.Faults, n.Rearms)
			}
			if k.region == arena {
				continue // whose memory goes with it
			}
			closeBusy(t, k.region.Close)
			k.end(t)
		}
		checkSums(t, p.Snapshot())
		defer func() {
			if err, _ := recover().(error); err == nil || !strings.Contains(err.Error(), "nil pointer dereference") {
				t.Errorf("a nil dereference: %v", err)
			}
		}()
		var nothing *[4096]byte
		sink = nothing[64]
	}
	if os.Getenv(caseEnv) != "" {
		body(t)
		return
	}
	for _, procs := range []string{"2", "1", "8"}[:testproc.Times(1, 3)] {
		for _, means := range []string{"guard markers", "rights"} {
			for _, user := range []string{"root", "nobody"} {
				t.Run(procs+"/"+means+"/"+user, func(t *testing.T) {
					env := []string{caseEnv + "=all", "GOMAXPROCS=" + procs, "GORACE=atexit_sleep_ms=0 halt_on_error=1"}
					if means == "rights" {
						env = append(env, testproc.WithoutGuardsEnv+"=1")
					}
					var opts []testproc.Option
					switch {
					case user == "nobody" && os.Getuid() == 0:
						opts = append(opts, testproc.AsUser(nobody))
					case user == "nobody":
						t.Skip("only root can start a process as another user; the other tests run as an ordinary user already")
					}
					testproc.Run(t, top, env, hangBudget, opts...)
				})
			}
		}
	}
}

// What private memory and arenas are, whose access is taken away: nobody's contents change, rights stay the owner's, and
// what is not allowed is the program's own fault.
func TestAccessTakenFromMemory(t *testing.T) {
	const top, pages = "TestAccessTakenFromMemory", 64
	kinds := map[string]func(t *testing.T, p *Profiler) (*Region, []byte, []byte){
		"arena": func(t *testing.T, p *Profiler) (*Region, []byte, []byte) {
			a := newArena(t, p, "arena", pages*pageSize)
			return a, a.Bytes(), make([]byte, pages*pageSize)
		},
		"arena, armed again": func(t *testing.T, p *Profiler) (*Region, []byte, []byte) {
			a := newArena(t, p, "arena", pages*pageSize)
			copy(a.Bytes(), contents(pages*pageSize))
			rearm(t, a)
			return a, a.Bytes(), contents(pages * pageSize)
		},
		"memory": func(t *testing.T, p *Profiler) (*Region, []byte, []byte) {
			b := mapMemory(t, pages)
			return attachMemory(t, p, b), b, contents(pages * pageSize)
		},
	}
	faults := func(p *Profiler) uint64 { return p.Snapshot().Stats.Faults }
	cases := map[string]func(t *testing.T, p *Profiler, r *Region, b, want []byte){
		"owner's rights": func(t *testing.T, p *Profiler, r *Region, b, want []byte) {
			defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
			sink = b[0]
			before := faults(p)
			must(t, unix.Mprotect(b[:4*pageSize], unix.PROT_READ))
			for page := range 4 {
				if at, ok := faulted(func() { b[page*pageSize+5] = 1 }); !ok || at != addressOf(b)+uintptr(page*pageSize+5) {
					t.Errorf("page %d, which may only be read: a write gave a fault at %#x (%v)", page, at, ok)
				}
			}
			if n := faults(p) - before; n != 0 {
				t.Errorf("%d faults: what is not allowed is no first touch", n)
			}
			must(t, unix.Mprotect(b[:4*pageSize], unix.PROT_READ|unix.PROT_WRITE))
			for page := range pages {
				b[page*pageSize+5]++
				want[page*pageSize+5]++
			}
			if !bytes.Equal(b, want) {
				t.Error("the contents changed")
			}
		},
		"sources": func(t *testing.T, p *Profiler, r *Region, b, want []byte) {
			before := len(p.Snapshot().Faults)
			if !bytes.Equal(b, want) {
				t.Error("the contents changed")
			}
			list := p.Snapshot().Faults[before:]
			if len(list) != pages {
				t.Errorf("%d faults, want %d", len(list), pages)
			}
			source := SourceZero
			if want[0] != 0 {
				source = SourceMemory
			}
			for _, f := range list {
				if f.Source != source {
					t.Errorf("a page from %v, want %v", f.Source, source)
				}
			}
		},
		"forked": func(t *testing.T, p *Profiler, r *Region, b, want []byte) {
			for i := 0; i < pages; i += 2 {
				sink = b[i*pageSize]
			}
			before := faults(p)
			if want[0] != 0 {
				if status := sumInChild(t, b); status != 0 {
					t.Errorf("the child ended with status %#x", status)
				}
			}
			if !bytes.Equal(b, want) {
				t.Error("the contents changed")
			}
			if n := faults(p) - before; n != pages/2 {
				t.Errorf("%d faults, want %d: what the child touches is its own", n, pages/2)
			}
		},
		"discarded": func(t *testing.T, p *Profiler, r *Region, b, want []byte) {
			before := faults(p)
			must(t, unix.Madvise(b[:8*pageSize], unix.MADV_DONTNEED)) // armed, and stays so
			clear(want[:8*pageSize])
			if !bytes.Equal(b, want) {
				t.Error("the contents changed")
			}
			if n := faults(p) - before; n != pages {
				t.Errorf("%d faults, want %d", n, pages)
			}
		},
		"a share": func(t *testing.T, p *Profiler, r *Region, b, want []byte) {
			must(t, r.SetSampling(0))
			before := faults(p)
			for i := range pages {
				sink = b[i*pageSize]
			}
			if n := faults(p) - before; n != 0 {
				t.Errorf("%d faults while nothing is observed", n)
			}
			must(t, r.SetSampling(1))
			rearm(t, r)
			if !bytes.Equal(b, want) {
				t.Error("the contents changed")
			}
			if n := faults(p) - before; n != pages {
				t.Errorf("observed again: %d faults, want %d", n, pages)
			}
		},
		"moved by its owner": func(t *testing.T, p *Profiler, r *Region, b, want []byte) {
			to, err := unix.MremapPtr(ptrOf(b), uintptr(len(b)), nil, uintptr(2*len(b)), unix.MREMAP_MAYMOVE)
			must(t, err)
			if to == ptrOf(b) {
				t.Skip("the kernel let it grow in place")
			}
			moved := sliceAt(to, len(b))
			if !bytes.Equal(moved, want) {
				t.Error("the contents changed")
			}
			closeBusy(t, r.Close)
			if !bytes.Equal(moved, want) {
				t.Error("given back: the contents changed")
			}
		},
	}
	for kind, make := range kinds {
		for name, run := range cases {
			if name == "moved by its owner" && strings.HasPrefix(kind, "arena") {
				continue // an arena is the profiler's to move
			}
			inChild(t, top, name+"/"+kind, nil, func(t *testing.T) {
				engine.WithoutUserfaultfd = true
				p := newProfiler(t, WithDelivery(DeliverySignal), WithGranule(pageSize))
				r, b, want := make(t, p)
				run(t, p, r, b, want)
				closeBusy(t, r.Close)
				if s := p.Snapshot().Stats; s.Dropped != 0 || s.ResolveErrs != 0 {
					t.Errorf("%d dropped, %d failed: %s", s.Dropped, s.ResolveErrs, s.LastError)
				}
			})
		}
	}
}
