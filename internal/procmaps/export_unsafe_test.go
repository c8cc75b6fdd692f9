package procmaps

import (
	"fmt"
	"unsafe"
)

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// String is a line as the kernel writes it (show_map_vma, fs/proc/task_mmu.c), up to the name.
func (l Line) String() string {
	flags := []byte("---p")
	for i, set := range []byte("rwx") {
		if l.Prot>>i&1 != 0 {
			flags[i] = set
		}
	}
	if l.Shared {
		flags[3] = 's'
	}
	return fmt.Sprintf("%08x-%08x %s %08x %02x:%02x %d  ", l.Lo, l.Hi, flags, l.Offset, l.Dev>>32, uint32(l.Dev), l.Inode)
}
