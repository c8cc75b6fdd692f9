//go:build linux && (amd64 || arm64)

package raw

import (
	"bytes"
	"debug/elf"
	"os"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/procmaps"
	"golang.org/x/sys/unix"
)

const atSysinfoEhdr = 33 // AT_SYSINFO_EHDR, include/uapi/linux/auxvec.h

// init finds the vDSO's clock_gettime. Without one, for example under some tracers, Nanotime asks the kernel. The
// auxiliary vector is the one that the runtime was started with, since there may be no /proc.
func init() {
	aux, err := unix.Auxv()
	if err != nil {
		return
	}
	for _, pair := range aux {
		if pair[0] == atSysinfoEhdr {
			vdso = vdsoSymbol(pair[1], vdsoClockName)
			return
		}
	}
}

// vdsoSymbol looks a function up in the vDSO image that the kernel mapped at base.
func vdsoSymbol(base uintptr, name string) uintptr {
	const most = 64 << 10 // an upper bound for the headers; the mapping's true end follows from them
	size := vdsoSize(base, most)
	if size == 0 {
		return 0
	}
	image := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), base)), size)
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0
	}
	defer f.Close()
	syms, err := f.DynamicSymbols()
	if err != nil {
		return 0
	}
	for _, s := range syms {
		if s.Name == name {
			return base + uintptr(s.Value)
		}
	}
	return 0
}

// vdsoSize asks the kernel's own list how far the image reaches. Without /proc it is taken to end with the page in which
// its one segment does: section headers behind that are not found then.
func vdsoSize(base, most uintptr) uintptr {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return min(vdsoSegment(base), most)
	}
	for l := range procmaps.Lines(maps) {
		if l.Lo == base {
			return min(l.Hi-base, most)
		}
	}
	return 0
}

// vdsoSegment is the size in whole pages of what the image's program headers load.
func vdsoSegment(base uintptr) (size uintptr) {
	h := (*elf.Header64)(unsafe.Add(unsafe.Pointer(nil), base))
	for i := range uintptr(h.Phnum) {
		p := (*elf.Prog64)(unsafe.Add(unsafe.Pointer(h), uintptr(h.Phoff)+i*unsafe.Sizeof(elf.Prog64{})))
		if elf.ProgType(p.Type) == elf.PT_LOAD {
			size = max(size, uintptr(p.Off+p.Filesz))
		}
	}
	page := uintptr(unix.Getpagesize())
	return (size + page - 1) &^ (page - 1)
}
