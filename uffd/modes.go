package uffd

import (
	"fmt"
	"math/bits"
	"strings"
)

// RegisterMode is a set of UFFDIO_REGISTER_MODE bits: which faults of a range become messages.
type RegisterMode uint64

// The register modes.
const (
	ModeMissing RegisterMode = 1 << iota // 4.3: no page is mapped, and the file (if any) has none
	ModeWP                               // 5.7: a write to a page protected by WriteProtect
	ModeMinor                            // 5.13: no page is mapped, but the file has one
	ModeRWP                              // after 7.1: any access to a page protected by RWProtect
)

var modeNames = [...]string{"MISSING", "WP", "MINOR", "RWP"}

// String lists the kernel's names, separated by "|".
func (m RegisterMode) String() string {
	return bitNames(uint64(m), nameIn(modeNames[:]))
}

// IoctlSet is a set of ioctls by number, as the kernel answers it: to the handshake for the
// descriptor, to Register for the range.
type IoctlSet uint64

var ioctlNames = map[int]string{
	0x00: "REGISTER", 0x01: "UNREGISTER", 0x02: "WAKE", 0x03: "COPY", 0x04: "ZEROPAGE",
	0x05: "MOVE", 0x06: "WRITEPROTECT", 0x07: "CONTINUE", 0x08: "POISON",
	0x09: "RWPROTECT", 0x0a: "SET_MODE", 0x3f: "API",
}

// Has reports whether the ioctl with this request number, such as IoctlCopy, is in the set.
func (s IoctlSet) Has(request Ioctl) bool { return s>>(request&0x3f)&1 != 0 }

// names are the kernel's names of the set's ioctls, without UFFDIO_, in numeric order.
func (s IoctlSet) names() []string {
	names := []string{}
	for rest := uint64(s); rest != 0; rest &= rest - 1 {
		names = append(names, ioctlName(bits.TrailingZeros64(rest)))
	}
	return names
}

// String lists the kernel's names, separated by "|".
func (s IoctlSet) String() string { return bitNames(uint64(s), ioctlName) }

// String is the kernel's name of the ioctl, without UFFDIO_.
func (i Ioctl) String() string {
	switch i {
	case IoctlPagemapScan:
		return "PAGEMAP_SCAN"
	case IoctlNew:
		return "USERFAULTFD_IOC_NEW"
	}
	return ioctlName(int(i & 0xff))
}

func ioctlName(nr int) string {
	if name, ok := ioctlNames[nr]; ok {
		return name
	}
	return fmt.Sprintf("ioctl %#02x", nr)
}

// nameIn names the bits after a table, and those beyond its end by their number.
func nameIn(names []string) func(bit int) string {
	return func(bit int) string {
		if bit < len(names) {
			return names[bit]
		}
		return fmt.Sprintf("bit %d", bit)
	}
}

// bitNames joins the names of the bits that are set.
func bitNames(set uint64, name func(bit int) string) string {
	if set == 0 {
		return "none"
	}
	var names []string
	for ; set != 0; set &= set - 1 {
		names = append(names, name(bits.TrailingZeros64(set)))
	}
	return strings.Join(names, "|")
}
