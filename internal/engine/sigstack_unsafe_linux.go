//go:build linux && (amd64 || arm64)

package engine

import (
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// What the handlers take of a signal stack beside the frame that the kernel lays there: chains of functions that may not
// grow it, each of them at most as long as the linker lets one be, and with delivery by signal a worker too.
const (
	handlerStack    = 4 << 10
	busHandlerStack = 8 << 10
)

// signalStackFits refuses to run handlers on signal stacks that are too small for them. The runtime gives its threads 32
// KiB each (malg, runtime/os_linux.go).
func signalStackFits(size, frame uintptr, signals bool) error {
	need := frame + handlerStack
	if signals {
		need = frame + busHandlerStack + unsafe.Sizeof(worker{})
	}
	if size < need {
		return fmt.Errorf("%w: the threads' signal stacks have %d bytes, and the engine's handlers need %d", uffd.ErrNotSupported, size, need)
	}
	return nil
}

// signalStack returns the size of the calling thread's signal stack, 0 where it has none.
func signalStack() uintptr {
	var ss struct { // stack_t, include/uapi/asm-generic/signal.h
		sp    uintptr
		flags int32
		size  uintptr
	}
	const disabled = 2 // SS_DISABLE
	if _, _, e := unix.Syscall(unix.SYS_SIGALTSTACK, 0, uintptr(unsafe.Pointer(&ss)), 0); e != 0 || ss.flags&disabled != 0 {
		return 0
	}
	return ss.size
}

// signalFrame returns how much the kernel lays on a signal stack (AT_MINSIGSTKSZ, getauxval(3)): the registers of large
// vectors and tiles make that many KiB.
func signalFrame() uintptr {
	const (
		minSigStackSize = 51
		usual           = 5 << 10 // where the kernel does not tell: arm64 before SVE, amd64 before AVX-512
	)
	aux, err := os.ReadFile("/proc/self/auxv")
	for ; err == nil && len(aux) >= 16; aux = aux[16:] {
		if binary.NativeEndian.Uint64(aux) == minSigStackSize {
			return uintptr(binary.NativeEndian.Uint64(aux[8:]))
		}
	}
	return usual
}
