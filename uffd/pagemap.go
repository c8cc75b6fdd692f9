package uffd

// Categories is a set of PAGE_IS bits, include/uapi/linux/fs.h: what PAGEMAP_SCAN asks and answers
// about a page.
type Categories uint64

// The categories. The kernel refuses those that it does not know.
const (
	PageIsWPAllowed Categories = 1 << iota // 6.7: registered with ModeWP on a descriptor with FeatureWPAsync
	PageIsWritten                          // 6.7: not write-protected by userfaultfd: written to since
	PageIsFile                             // 6.7: of a file, or of shared memory
	PageIsPresent                          // 6.7: in memory and mapped
	PageIsSwapped                          // 6.7: in swap
	PageIsPFNZero                          // 6.7: the shared page of zeros
	PageIsHuge                             // 6.7: mapped as a part of a huge page
	PageIsSoftDirty                        // 6.7: see CONFIG_MEM_SOFT_DIRTY
	PageIsGuard                            // 6.15: a guard region, MADV_GUARD_INSTALL
	PageIsAccessed                         // after 7.1: not protected by RWProtect: accessed since
)

var categoryNames = [...]string{
	"WPALLOWED", "WRITTEN", "FILE", "PRESENT", "SWAPPED", "PFNZERO", "HUGE", "SOFT_DIRTY", "GUARD", "ACCESSED",
}

// Has reports whether c has all of want.
func (c Categories) Has(want Categories) bool { return c&want == want }

// String lists the kernel's names without PAGE_IS_, separated by "|".
func (c Categories) String() string { return bitNames(uint64(c), nameIn(categoryNames[:])) }

// ScanFlags is a set of PM_SCAN bits.
type ScanFlags uint64

// The flags of a scan.
const (
	// ScanWPMatching write-protects the pages that match, in one step with reporting them. It needs
	// FeatureWPAsync.
	ScanWPMatching ScanFlags = 1 << iota
	// ScanCheckWPAsync ends the scan with ErrPermission at memory that is not PageIsWPAllowed. Without
	// it such memory is skipped by ScanWPMatching.
	ScanCheckWPAsync
)

// PageRegion is struct page_region: adjacent pages of the same categories.
type PageRegion struct {
	Range
	Categories Categories // those of ScanQuery.Return that the pages have
}

// ScanQuery says which pages a scan reports. A page matches where it has all of All, and one of Any
// unless that is zero; the categories in Inverted count as had where they are absent.
type ScanQuery struct {
	Flags    ScanFlags
	All      Categories
	Any      Categories
	Inverted Categories
	Return   Categories
	// MaxPages ends the scan behind so many pages that match, a budget for a long range; 0 is no limit. A huge page
	// counts as all of its small ones. The last region says where to go on.
	MaxPages int
}

// PagemapEntry is one entry of /proc/PID/pagemap, Documentation/admin-guide/mm/pagemap.rst.
type PagemapEntry uint64

// Present reports whether the page is in memory and mapped.
func (e PagemapEntry) Present() bool { return e>>63&1 != 0 }

// Swapped reports whether the page is in swap, or a marker stands in its place.
func (e PagemapEntry) Swapped() bool { return e>>62&1 != 0 }

// File reports whether the page belongs to a file or to shared memory.
func (e PagemapEntry) File() bool { return e>>61&1 != 0 }

// WriteProtected reports whether userfaultfd protects the page (Linux 5.14). RWProtect uses the same
// bit.
func (e PagemapEntry) WriteProtected() bool { return e>>57&1 != 0 }
