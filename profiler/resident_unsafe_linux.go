//go:build linux && (amd64 || arm64)

package profiler

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A look at what is resident asks for so many pages of a mapping, in so many runs, spread evenly: some
// milliseconds. Smaller mappings are looked at whole.
const (
	residentPages = 1 << 16
	residentRun   = 512
)

// Resident returns, for each region of which it is known, how many bytes are in physical memory now: of a file
// those in the page cache, also when nobody touched them, of other memory its pages. Of a mapping of more than
// 256 MiB it is an estimate, from 128 parts of 2 MiB. It is not known of a file that the process neither
// owns nor may write, of which the kernel does not tell (mincore(2)), and while a region is being armed.
func (p *Profiler) Resident() map[RegionID]int64 {
	p.residents.Lock() // one after the other, so that they do not keep each other from the regions
	defer p.residents.Unlock()
	out := make(map[RegionID]int64)
	for _, r := range p.openRegions() {
		if n, ok := r.resident(); ok {
			out[r.id] = n
		}
	}
	return out
}

// Whoever arms a region may wait for the mapping's owner, so it is waited for a moment only. That is longer than a look
// for new mappings takes.
const (
	residentTries = 50
	residentPause = time.Millisecond
)

func (r *Region) resident() (n int64, ok bool) {
	for try := 1; !r.mu.TryLock(); try++ {
		if try == residentTries {
			return 0, false
		}
		time.Sleep(residentPause)
	}
	defer r.mu.Unlock()
	if r.closed.Load() {
		return 0, false
	}
	for _, m := range r.maps {
		bytes, ok := r.residentIn(m)
		if !ok {
			return 0, false
		}
		n += bytes
	}
	return n, true
}

func (r *Region) residentIn(g *mapping) (bytes int64, ok bool) {
	places, ok := r.placesOf(g)
	if !ok {
		return 0, false
	}
	page := uintptr(unix.Getpagesize())
	pages := (g.Hi - g.Lo) / page
	run, step := pages, pages
	if pages > residentPages {
		run, step = residentRun, pages/(residentPages/residentRun)
	}
	var seen, in uintptr
	vec := make([]byte, run)
	for first := uintptr(0); first < pages; first += step {
		n := min(run, pages-first)
		seen += n
		for _, at := range places {
			_, _, errno := unix.Syscall(unix.SYS_MINCORE, at+first*page, n*page, uintptr(unsafe.Pointer(&vec[0])))
			if errno != 0 {
				continue // it went away
			}
			for _, v := range vec[:n] {
				in += uintptr(v & 1)
			}
		}
	}
	if seen == 0 {
		return 0, true
	}
	return int64(float64(in) / float64(seen) * float64(g.Hi-g.Lo)), true
}
