//go:build linux && (amd64 || arm64)

package raw

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"unsafe"
)

const atSysinfoEhdr = 33 // AT_SYSINFO_EHDR, include/uapi/linux/auxvec.h

// init finds the vDSO's clock_gettime. Without one, for example under some tracers, Nanotime
// asks the kernel.
func init() {
	aux, err := os.ReadFile("/proc/self/auxv")
	if err != nil {
		return
	}
	for ; len(aux) >= 16; aux = aux[16:] {
		if binary.NativeEndian.Uint64(aux) == atSysinfoEhdr {
			vdso = vdsoSymbol(uintptr(binary.NativeEndian.Uint64(aux[8:])), vdsoClockName)
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

// vdsoSize asks the kernel's own list how far the image reaches.
func vdsoSize(base, most uintptr) uintptr {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(maps) {
		lo, rest, ok := bytes.Cut(line, []byte{'-'})
		if !ok || parseHex(lo) != uint64(base) {
			continue
		}
		hi, _, _ := bytes.Cut(rest, []byte{' '})
		return min(uintptr(parseHex(hi))-base, most)
	}
	return 0
}

func parseHex(b []byte) (v uint64) {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		}
	}
	return v
}
