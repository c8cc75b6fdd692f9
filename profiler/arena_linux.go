//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// NewArena maps size bytes of zeroed memory, rounded up to whole pages, outside the Go heap, and
// observes their first touches. The memory must hold no Go pointers. A system call that is given
// pages of it that were not yet touched works, unless WithFailingSystemCalls or DeliverySignal lets it fail with
// EFAULT (Stats.UserModeOnly): then touch or copy first.
func (p *Profiler) NewArena(name string, size int, opts ...RegionOption) (*Region, error) {
	if size <= 0 {
		return nil, fmt.Errorf("%w: arena %q of %d bytes: choose 1 byte or more", ErrInvalid, name, size)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	page := unix.Getpagesize()
	size = (size + page - 1) &^ (page - 1)
	r, err := p.newRegion(name, KindArena, int64(size), opts)
	if err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	if err := r.mapArena(size); err != nil {
		r.closed.Store(true)
		p.forget(r)
		return nil, fmt.Errorf("arena %q: %w", name, err)
	}
	r.publishMaps(int64(size))
	if err := r.applyShare(); err != nil {
		p.note("all of region %s is observed: %v", r.name, err)
	}
	return r, nil
}

func (r *Region) mapArena(size int) error {
	if r.p.observes() {
		return r.mapPlain(size)
	}
	if !r.config.writes {
		g, err := r.p.eng.NewArena(r.eng, uintptr(size), uintptr(r.config.granule), r.p.know)
		if err != nil {
			return err
		}
		m := &mapping{Target: g, means: byMove, prot: unix.PROT_READ | unix.PROT_WRITE}
		if g.Protected() {
			m.means = byAccess
		}
		r.bytes, r.maps = g.Bytes(), []*mapping{m}
		return nil
	}
	b, err := newPlain(size)
	if err != nil {
		return err
	}
	lo, hi := bounds(b)
	m, _, err := r.observe(piece{procMap: procMap{lo: lo, hi: hi}, means: byProtect, page: uintptr(unix.Getpagesize())}, 0)
	if err != nil {
		unmap(b)
		return err
	}
	r.bytes, r.maps = b, []*mapping{m}
	return nil
}

// bounds are the addresses of memory.
func bounds(b []byte) (lo, hi uintptr) {
	lo = uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return lo, lo + pages(len(b))
}

// newPlain maps fresh memory, of small pages.
func newPlain(size int) ([]byte, error) {
	at, err := unix.MmapPtr(-1, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err == unix.EAGAIN { // mlock_future_ok, mm/mmap.c
		return nil, fmt.Errorf("%w: the process locks all of its new memory (mlockall with MCL_FUTURE), and %d bytes cannot be: raise RLIMIT_MEMLOCK, or choose a smaller arena: mmap: %w", ErrLocked, size, err)
	}
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	b := unsafe.Slice((*byte)(at), size)
	// A huge page would make one fault of 512. EINVAL: a kernel without them.
	if err := unix.Madvise(b, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
		unmap(b)
		return nil, fmt.Errorf("madvise(MADV_NOHUGEPAGE): %w: allow it in the process's seccomp filter", err)
	}
	return b, nil
}

// unmap returns memory of a region.
func unmap(b []byte) error {
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
}
