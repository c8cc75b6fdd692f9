package uffd

import (
	"strconv"
	"unsafe"
)

// Addr is an address in the memory that a descriptor serves, which need not be the caller's own. It
// has 64 bits also on machines whose own addresses have 32, as in the kernel's structs.
type Addr uint64

// String is the address in hexadecimal.
func (a Addr) String() string { return "0x" + strconv.FormatUint(uint64(a), 16) }

// Add returns a+n, and false where that is beyond the address space.
func (a Addr) Add(n uintptr) (Addr, bool) {
	end := a + Addr(n)
	return end, end >= a
}

// AlignDown rounds towards zero to a multiple of size, a power of two.
func (a Addr) AlignDown(size uintptr) Addr { return a &^ Addr(size-1) }

// IsAligned reports whether a is a multiple of size, a power of two.
func (a Addr) IsAligned(size uintptr) bool { return a&Addr(size-1) == 0 }

// Range is half-open: [Start, End). It is well formed where Start <= End.
type Range struct{ Start, End Addr }

// RangeAt is the range of n bytes at start, and false where that is beyond the address space.
func RangeAt(start Addr, n uintptr) (Range, bool) {
	end, ok := start.Add(n)
	return Range{start, end}, ok
}

// RangeOf is the memory of b. It does not keep b alive, and holds only for memory that does not
// move: mappings, not goroutine stacks.
func RangeOf(b []byte) Range {
	start := Addr(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
	return Range{start, start + Addr(len(b))}
}

// Len is the number of bytes in r; 0 where r is not well formed.
func (r Range) Len() uintptr {
	if r.End < r.Start {
		return 0
	}
	return uintptr(r.End - r.Start)
}

// Contains reports whether the byte at a is in r.
func (r Range) Contains(a Addr) bool { return r.Start <= a && a < r.End }

// IsAligned reports whether both ends are multiples of size, a power of two.
func (r Range) IsAligned(size uintptr) bool { return r.Start.IsAligned(size) && r.End.IsAligned(size) }

// String is the range in hexadecimal, as [start,end).
func (r Range) String() string { return "[" + r.Start.String() + "," + r.End.String() + ")" }
