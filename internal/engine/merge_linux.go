//go:build linux && (amd64 || arm64)

package engine

import (
	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// mergeRun bounds how many bytes one call moves: a fault that meets a page which cannot be moved waits
// for the call.
const mergeRun = 2 << 20

// merge moves pages from the young layer to the old one until the command's time is over. It leaves
// the offset at which to go on in command.cover. The target is served meanwhile.
//
//go:nosplit
//go:norace
//go:nocheckptr
func merge(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	young, old, length := uintptr(t.young), uintptr(t.old), t.hi-t.lo
	if young == 0 {
		return
	}
	from := c.cover
	c.cover = 0 // no mapping of ours is under way
	limit := raw.Nanotime() + min(c.limit, mergeSlice)
	forever := c.limit == 1<<62
	if from == 0 {
		s.registerLayer(w, old, length) // pieces that replaced one of its pages are not
	}
	for from < length {
		n, end := s.scan(w, young+from, young+length, s.text)
		for i := uintptr(0); i < n; i++ {
			lo, hi := *at[uintptr](s.text + i*pageRegion), *at[uintptr](s.text + i*pageRegion + 8)
			for ; lo < hi; lo += min(hi-lo, mergeRun) {
				w.carry.src, w.carry.dst, w.carry.length = lo, old+lo-young, min(hi-lo, mergeRun)
				deep(mergePiece, arg)
				if !forever && raw.Nanotime() > limit {
					c.cover = lo + min(hi-lo, mergeRun) - young
					return
				}
			}
		}
		if end <= young+from {
			c.fail(callScan, s.barredBy(callScan))
			return
		}
		from = end - young
	}
	// Nobody may look into the layer any more once it is given back.
	frozen := raw.Load32(&t.frozen)
	raw.Store32(&t.frozen, 1)
	if s.quiesce(w, t, raw.Nanotime()+int64(freezeLimit)) {
		if n, end := s.scan(w, young, young+length, s.text); n == 0 && end == young+length {
			raw.Store64(&t.young, 0)
			for raw.Load32(&t.inflight) != 0 {
				s.nap(w, 10e3) // a discard that began before
			}
		}
	}
	raw.Store32(&t.frozen, frozen)
	if frozen == 0 {
		s.wake(w, t, 0, t.granules())
	}
}

// mergePiece moves a run of pages. Those that cannot be moved go with a piece of their mapping.
//
//go:nosplit
//go:norace
//go:nocheckptr
func mergePiece(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, src, dst, length := at[target](s.cmd.target), w.carry.src, w.carry.dst, w.carry.length
	for tries := 0; length > 0; {
		s.lock(w, &t.moving)
		e := s.move(w, s.layersFD, src, dst)
		if unix.Errno(e) == unix.EBUSY && tries == 2 {
			s.split(src)
		}
		if e != 0 && unix.Errno(e) != unix.ENOENT && tries > 2 {
			// Where the mappings differ the kernel says so before it looks for a page: one that was brought home
			// meanwhile is no reason to try for ever.
			if is, known := s.present(w, src); is || !known {
				s.remapPage(w, src, dst)
				raw.Add64(&s.maps, 2)
				s.registerLayer(w, dst, s.pageSize)
			}
			e = 0
		}
		unlock(&t.moving)
		if e != 0 && unix.Errno(e) != unix.ENOENT { // ENOENT: brought home meanwhile
			tries++
			continue
		}
		tries = 0
		src, dst, length = src+s.pageSize, dst+s.pageSize, length-s.pageSize
	}
}
