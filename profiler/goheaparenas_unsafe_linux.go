//go:build linux && (amd64 || arm64)

package profiler

import (
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// heapArena is the unit in which the Go runtime reserves addresses for its heap, aligned to its size
// (heapArenaBytes, runtime/malloc.go). It makes pieces of it accessible as it needs them, and never
// gives addresses back.
const heapArena = 64 << 20

// heapArenas are those known, in the order in which they were found. An arena's place among them makes the
// offsets of a region that lies all over the address space.
type heapArenas struct {
	order []uintptr // address / heapArena
	place map[uintptr]int
	other bool // the heap is not made of such arenas
}

// offset is that of an address in the region.
func (h *heapArenas) offset(addr uintptr) int64 {
	return int64(h.place[addr/heapArena])*heapArena + int64(addr%heapArena)
}

// find returns what is accessible of the heap's arenas, and how much that is. The runtime says how large the
// heap is at least and at most: neighbours of known arenas are taken for the heap's only as far as it does.
func (h *heapArenas) find(list []procMap, least, most int64) (pieces []procMap, mapped int64) {
	if h.place == nil {
		h.place = make(map[uintptr]int)
	}
	in := make(map[uintptr]int64) // accessible bytes of each arena that may be one
	whole := make(map[uintptr]int64)
	for i := range list {
		m := &list[i]
		if m.inode != 0 || m.shared || m.path != "" && !strings.HasPrefix(m.path, namedByGo) {
			continue
		}
		for lo := m.lo; lo < m.hi; {
			hi := min(m.hi, (lo/heapArena+1)*heapArena)
			whole[lo/heapArena] += int64(hi - lo)
			if m.prot == unix.PROT_READ|unix.PROT_WRITE {
				in[lo/heapArena] += int64(hi - lo)
			}
			lo = hi
		}
	}
	// seed adds the arena that a new object lies in. One of which another part is not the runtime's is no arena: they are
	// of another size then. One that is not in the list at all came after it was read.
	seed := func(size int) {
		switch a := addressInHeap(size) / heapArena; whole[a] {
		case heapArena:
			h.add(a)
		case 0:
		default:
			h.other = true
		}
	}
	seed(16)
	for _, a := range h.order {
		mapped += in[a]
	}
	if before := len(h.order); mapped < least {
		seed(64 << 10)
		for _, a := range h.order[before:] {
			mapped += in[a]
		}
	}
	for i := 0; i < len(h.order); i++ { // grows
		for _, a := range [2]uintptr{h.order[i] + 1, h.order[i] - 1} {
			if _, known := h.place[a]; !known && whole[a] == heapArena && in[a] > 0 && mapped+in[a] <= most {
				mapped += in[a]
				h.add(a)
			}
		}
	}
	for _, m := range list {
		if m.prot != unix.PROT_READ|unix.PROT_WRITE || m.inode != 0 || m.shared {
			continue
		}
		for lo := m.lo; lo < m.hi; {
			hi := min(m.hi, (lo/heapArena+1)*heapArena)
			if _, known := h.place[lo/heapArena]; known {
				piece := m
				piece.lo, piece.hi = lo, hi
				pieces = append(pieces, piece)
			}
			lo = hi
		}
	}
	return pieces, mapped
}

// namedByGo begins the names that the runtime gives its mappings where the kernel keeps names
// (runtime/set_vma_name_linux.go).
const namedByGo = "[anon: Go: "

// add reports whether an arena is new.
func (h *heapArenas) add(a uintptr) bool {
	if _, known := h.place[a]; known {
		return false
	}
	h.place[a] = len(h.order)
	h.order = append(h.order, a)
	return true
}

// addressInHeap is where a new object of some size was.
func addressInHeap(size int) uintptr {
	b := make([]byte, size)
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	runtime.KeepAlive(b)
	return at
}
