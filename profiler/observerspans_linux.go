//go:build linux && (amd64 || arm64)

package profiler

import (
	"slices"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/perfevents"
	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// A record of the kernel has the register in which Go's code keeps its g, and a g is a goroutine's until that ends, and another
// one's then. So a goroutine is known at the moments at which the g's id was read: by the goroutine itself, where it starts, binds or
// ends a span, and by the fold. Where two readings after each other show the same id, the g was that goroutine's all the time between,
// since no id is used again. In all other cases the goroutine is not known.

// goroutines knows whose a g was.
type goroutines struct {
	goid, parent uintptr // where in a g they are; 0 is unknown
	known        map[uintptr]*knownG
	bound        map[uint64][]binding // by goroutine, ascending by time
	changes      []change             // of bound, ascending by time
	refused      error                // process_vm_readv
}

// knownG is what is known of a g.
type knownG struct {
	now, before tenure
}

// tenure is that a g was a goroutine's from one reading to another.
type tenure struct {
	goid, parent uint64
	from, to     int64
}

// binding is that a goroutine works for a span from a time on.
type binding struct {
	at  int64
	ref uint64
}

type change struct {
	at   int64
	goid uint64
}

const (
	// knownMost bounds the g's that are known: a process has as many as it had goroutines at once.
	knownMost = 1 << 16
	// remembered is for how long bindings are remembered that have changed since: the kernel's records come much sooner, but for those
	// that were interrupted, which take two seconds, or three where their thread has made no other fault.
	remembered = int64(6 * time.Second)
)

// sees takes over a reading.
func (t *goroutines) sees(g uintptr, goid, parent uint64, at int64) {
	k := t.known[g]
	if k == nil {
		if len(t.known) >= knownMost {
			clear(t.known)
		}
		k = &knownG{}
		t.known[g] = k
	}
	if k.now.goid != goid {
		k.before = k.now
		k.now = tenure{goid: goid, parent: parent, from: at}
	}
	k.now.to = max(k.now.to, at)
	if parent != 0 {
		k.now.parent = parent
	}
}

// at says whose a g was.
func (t *goroutines) at(g uintptr, at int64) (goid, parent uint64) {
	k := t.known[g]
	if k == nil {
		return 0, 0
	}
	for _, w := range [...]*tenure{&k.now, &k.before} {
		if w.from <= at && at <= w.to {
			return w.goid, w.parent
		}
	}
	return 0, 0
}

// read reads the ids of the g's of faults.
func (t *goroutines) read(faults []perfevents.Fault, now int64) {
	if t.goid == 0 || t.refused != nil {
		return
	}
	done := make(map[uintptr]bool)
	for i := range faults {
		f := &faults[i]
		if f.G == 0 || f.G%8 != 0 || done[f.G] {
			continue
		}
		var words [64]uint64
		if n, err := readOwn(f.G, words[:max(t.goid, t.parent)/8+1]); err == unix.EPERM || err == unix.ENOSYS || err == unix.EACCES {
			t.refused = err
			return
		} else if err != nil || !n {
			continue
		}
		// What the register holds outside of Go's code may be anything. A g begins with the bounds of its goroutine's stack.
		if t.known[f.G] == nil && (uint64(f.SP) < words[0] || uint64(f.SP) >= words[1]) {
			continue
		}
		done[f.G] = true
		if goid := words[t.goid/8]; goid != 0 { // else it is a thread's own
			var parent uint64
			if t.parent != 0 {
				parent = words[t.parent/8]
			}
			t.sees(f.G, goid, parent, now)
		}
	}
}

// readOwn reads memory of this process that may not be there.
func readOwn(at uintptr, to []uint64) (all bool, err error) {
	local := unix.Iovec{Base: (*byte)(unsafe.Pointer(unsafe.SliceData(to)))}
	size := len(to) * 8
	local.SetLen(size)
	n, err := unix.ProcessVMReadv(unix.Getpid(), []unix.Iovec{local}, []unix.RemoteIovec{{Base: at, Len: size}}, 0)
	return n == size, err
}

// spanAt is the span that a goroutine worked for, or 0.
func (t *goroutines) spanAt(goid uint64, at int64) uint64 {
	list := t.bound[goid]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].at <= at {
			return list[i].ref
		}
	}
	return 0
}

// forget forgets bindings that were replaced before a time.
func (t *goroutines) forget(before int64) {
	n := 0
	for ; n < len(t.changes) && t.changes[n].at < before; n++ {
		goid := t.changes[n].goid
		list := t.bound[goid]
		for len(list) > 1 && list[1].at < before {
			list = list[1:]
		}
		if len(list) == 1 && list[0].ref == 0 && list[0].at < before {
			delete(t.bound, goid)
		} else if len(list) > 0 {
			t.bound[goid] = list
		}
	}
	t.changes = t.changes[n:]
}

// worksFor says which goroutine made a fault, and for which span it worked. The caller holds mu.
func (o *observer) worksFor(f *perfevents.Fault) (goid, span uint64) {
	if f.G == 0 {
		return 0, 0
	}
	// By the time of the last try: who was interrupted may go on as another thread, and is the same goroutine.
	goid, parent := o.goroutines.at(f.G, f.End)
	if goid == 0 {
		return 0, 0
	}
	for _, id := range [...]uint64{goid, parent} {
		if id == 0 {
			continue
		}
		if ref := o.goroutines.spanAt(id, f.End); ref != 0 {
			if t := o.spans[ref]; t != nil && (t.ended == 0 || f.End <= t.ended) {
				return goid, ref
			}
		}
	}
	return goid, 0
}

// add counts a fault for a span.
func (t *observedSpan) add(s *seen, bytes int64) {
	v := &t.totals
	v.Faults++
	v.Bytes += uint64(bytes)
	if s.Known != perfevents.Unmeasured {
		wait := time.Duration(s.End - s.Time)
		v.Stall += wait
		v.Max = max(v.Max, wait)
	}
	if len(v.Regions) < 8 && !slices.Contains(v.Regions, uint32(s.region)) {
		v.Regions = append(v.Regions, uint32(s.region))
	}
}

// here reads who calls. The caller holds mu.
func (o *observer) here() (goid uint64) {
	t := &o.goroutines
	if t.goid == 0 {
		return 0
	}
	g := raw.G()
	goid = word(g, t.goid)
	var parent uint64
	if t.parent != 0 {
		parent = word(g, t.parent)
	}
	t.sees(g, goid, parent, int64(engine.Now()))
	return goid
}

// word reads a word of the current g.
//
//go:norace
//go:nocheckptr
func word(g, offset uintptr) uint64 { return *(*uint64)(unsafe.Add(unsafe.Pointer(nil), g+offset)) }

// The methods of binder.

func (o *observer) Introduce() {}

func (o *observer) Goid() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.here()
}

// spansMost is as many as an engine has places for.
const spansMost = 1 << 13

func (o *observer) OpenSpan() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.spans) >= spansMost {
		return 0
	}
	o.nextSpan++
	o.spans[o.nextSpan] = &observedSpan{}
	return o.nextSpan
}

func (o *observer) Bind(goid, ref uint64) (before uint64, ok bool) {
	if goid == 0 {
		return 0, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.here()
	now := int64(engine.Now())
	list := o.goroutines.bound[goid]
	if n := len(list); n > 0 {
		before = list[n-1].ref
	}
	o.goroutines.bound[goid] = append(list, binding{now, ref})
	o.goroutines.changes = append(o.goroutines.changes, change{now, goid})
	return before, true
}

func (o *observer) Bound(goid uint64) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if list := o.goroutines.bound[goid]; len(list) > 0 {
		return list[len(list)-1].ref
	}
	return 0
}

func (o *observer) EndSpan(ref uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.here()
	if t := o.spans[ref]; t != nil {
		t.ended = int64(engine.Now())
	}
}

func (o *observer) SpanTotals(ref uint64) engine.SpanTotals {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.spans[ref]
	if t == nil {
		return engine.SpanTotals{}
	}
	if o.until <= t.ended {
		o.emptyLocked()
	}
	return t.totals
}

func (o *observer) Ended(ref uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.spans[ref]
	return t == nil || t.ended != 0
}

func (o *observer) ReleaseSpan(ref uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.spans, ref)
}

func (o *observer) Waits(uint64) bool { return false }

// Head and Folded are times, by which spans and regions wait for what the fold has not taken yet.
func (o *observer) Head() uint64 { return uint64(engine.Now()) }

func (o *observer) Folded() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return uint64(max(o.taken, 0))
}
