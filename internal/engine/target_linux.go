//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// Kinds of target.
const (
	kindArena   = iota // private anonymous memory: filled, or brought back from its layers
	kindOverlay        // placeholder over a shared file mapping: replaced by the mapping again
	kindFile           // memory whose access is taken away: given it back, see segv_linux.go. A shared file mapping, or with tgAnonymous private memory
	kindShared         // shared memory: its page tables were dropped, and are filled again
	kindWrites         // memory of which writes alone are observed: write-protected
)

// target is one armed address range. The hot path finds it by address in the table.
type target struct {
	lo, hi     uintptr
	base       uintptr // lo, rounded down to where a granule of the region begins
	shift      uintptr // log2 of the granule
	alias      uintptr // overlay: a second mapping of the same file range
	states     uintptr // one uint32 a granule
	counters   uintptr // *counters of its region
	uffd       uint32
	kind       uint32
	number     uint32
	frozen     uint32 // the surgeon works on it: leave messages, they come again
	inflight   uint32 // claimed and not yet finished
	region     uint32
	flags      uint32
	prot       uint32  // overlay: of the alias, when the target was made; file: its owner's, when it was armed
	changed    uint32  // the owner changed the protection of its mapping since
	unnamed    uint32  // a message came for a granule whose record was not yet named: who waits is not known to be alone
	offset     int64   // file offset of lo
	page       uintptr // shared and writes: size of its pages
	old        uint64  // memory: layers, by address, or 0
	young      uint64
	removed    uint64  // memory: when its owner last discarded some of it
	marks      uintptr // memory: one bit a page, see mark
	moving     uint32  // memory: lock of who moves pages between layers, or by force
	watching   uint32  // memory: the surgeon takes pages away, so discards are marked
	dev, inode uint64  // file: as /proc/self/maps shows them
	sample     uintptr // bitmap of the blocks that are armed, or 0 for all, see sample_linux.go
	blockShift uintptr // log2 of a block
	// plain: overlay: what lies below this address has been given back, whatever the states of its granules say. It
	// changes while the target is frozen.
	plain uint64
}

// Flags of a target.
const (
	// tgMincore: mincore tells the truth about the page cache (the process owns the file or may
	// write it; can_do_mincore, mm/mincore.c). Otherwise every restore counts major faults.
	tgMincore = 1 << iota
	// tgDontfork: the owner had excluded the memory from children (MADV_DONTFORK) before it was armed.
	tgDontfork
	// tgAnonymous: writes alone, and the memory has no object that keeps the protection; or the access is taken away, and
	// it is private memory.
	tgAnonymous
	// tgHeap: the Go heap, see heap_linux.go.
	tgHeap
	// tgGuard, tgNone: the access is taken away by guard markers, or by its rights, see segv_linux.go; both where
	// the kernel refuses markers for a part of a file, and of an arena that was armed again.
	tgGuard
	tgNone
)

// counters are the totals of one region that the hot path keeps.
type counters struct {
	faults, repeats, cotouch, widened, errors, left, discarded uint64
}

// countersLen is what a region's counters and the backing behind them take.
const countersLen = unsafe.Sizeof(counters{}) + unsafe.Sizeof(backing{})

// States of a granule. Values from gRecord on are in flight and name the place of the record.
const (
	gArmed   = 0
	gOpen    = 1
	gPending = 2 // in flight, its record was dropped or is not yet claimed
	gRecord  = 3
)

// table is what the hot path searches: sorted by lo, without overlaps, replaced as a whole.
type table struct {
	n    uint32
	_    uint32
	ents [maxTargets]uintptr
}

const (
	maxTargets  = 1<<15 - 1 // armed at once; a table fills whole pages
	targetSlots = 1 << 16   // with those that records in the ring may still name
	targetSize  = 192
)

//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) granule(addr uintptr) uintptr {
	return (addr - t.base) >> t.shift
}

//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) state(g uintptr) *uint32 {
	return at[uint32](t.states + g*4)
}

// given reports whether an address has been given back.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) given(addr uintptr) bool {
	return addr < uintptr(raw.Load64(&t.plain))
}

// granules is the number of granules; the first and the last may be cut short by the bounds of the
// target.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) granules() uintptr {
	return (t.hi - t.base + 1<<t.shift - 1) >> t.shift
}

// span returns the address and length of n granules from g.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) span(g, n uintptr) (addr, length uintptr) {
	addr = t.base + g<<t.shift
	end := addr + n<<t.shift
	return max(addr, t.lo), min(end, t.hi) - max(addr, t.lo)
}

// find returns the target that holds addr, or nil.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) find(addr uintptr) *target {
	tab := uintptr(raw.Load64(&s.table)) // once: it may be replaced by a shorter one at any time
	lo, hi := uintptr(0), uintptr(at[table](tab).n)
	base := tab + tableHeader
	for lo < hi {
		m := (lo + hi) / 2
		t := at[target](*at[uintptr](base + m*8))
		switch {
		case addr < t.lo:
			hi = m
		case addr >= t.hi:
			lo = m + 1
		default:
			return t
		}
	}
	return nil
}

const tableHeader = 8
