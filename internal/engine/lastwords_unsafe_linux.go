//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// When the process crashes, what it prints names the engine: whoever reads the stacks has to know that memory was
// armed, and where. Go has no hook for that, but all that the runtime prints goes through one function, which may be
// replaced. While the runtime prints why it ends the process, one of the functions of dying is on the stack, and in no
// other case: a panic that is recovered prints nothing, and what a program prints by itself comes from elsewhere. So the
// first such piece has one line in front of it, and more where something is under way.
//
// What the replacement does in all other cases is what the runtime's own does: one write(2).

// overrideWrite is what the runtime writes with, if it is not nil. It is kept for others (go.dev/issue/67401).
//
//go:linkname overrideWrite runtime.overrideWrite
var overrideWrite func(fd uintptr, p unsafe.Pointer, n int32) int32

// dying are the functions of the runtime that print, on the stack that the printing is done on, why the process ends: by a panic,
// an error of the runtime itself, one of the program that cannot be recovered, and a signal.
var dying = [...]string{"runtime.printpanics", "runtime.throw.func1", "runtime.fatal.func1", "runtime.dopanic_m", "runtime.sighandler", "runtime.fatalsignal"}

var (
	dyingAt  [len(dying)][2]uintptr
	wordsSet bool
	saidLast uint32
	words    [16 << 10]byte // what is said; it is written once
)

// lastWords has the engine named when the process crashes. It stays so for the life of the process, as the handlers do.
func lastWords(at [len(dying)][2]uintptr) {
	if wordsSet || overrideWrite != nil || at == [len(dying)][2]uintptr{} {
		return // somebody else has it, or it cannot be told when to speak
	}
	dyingAt, wordsSet = at, true
	overrideWrite = printed
}

// CrashNamed reports whether what the process prints when it crashes names the engine.
func CrashNamed() bool { return wordsSet }

// printed is write(2) for the runtime.
//
//go:nosplit
//go:norace
//go:nocheckptr
func printed(fd uintptr, p unsafe.Pointer, n int32) int32 {
	// nosplit: it may run without a g, on any stack, and with very little of it.
	if fd == 2 && saidLast == 0 && isDying(raw.FramePointer()) && raw.Cas32(&saidLast, 0, 1) {
		deep(sayLast, 0)
	}
	return int32(raw.Syscall(unix.SYS_WRITE, fd, uintptr(p), uintptr(n), 0, 0, 0))
}

const (
	dyingDepth = 16       // frames from here to the function that is looked for, at most
	dyingFrame = 16 << 10 // a larger one is on another stack
)

//go:nosplit
//go:norace
//go:nocheckptr
func isDying(fp uintptr) bool {
	// nosplit: see printed. Frames are those of the runtime, which keeps frame pointers on both architectures.
	for range dyingDepth {
		pc := *at[uintptr](fp + 8)
		for i := uintptr(0); i < uintptr(len(dying)); i++ {
			r := at[[2]uintptr](uintptr(unsafe.Pointer(&dyingAt)) + i*16)
			if r[0] < pc && pc <= r[1] {
				return true
			}
		}
		next := *at[uintptr](fp)
		if next <= fp || next-fp > dyingFrame || next&7 != 0 {
			return false
		}
		fp = next
	}
	return false
}

// sayLast writes the line, and what is under way.
//
//go:nosplit
//go:norace
//go:nocheckptr
func sayLast(uintptr) {
	out := uintptr(unsafe.Pointer(&words))
	end := dumpTo(out, out+unsafe.Sizeof(words))
	raw.Syscall(unix.SYS_WRITE, 2, out, end-out, 0, 0, 0)
}

//go:nosplit
//go:norace
//go:nocheckptr
func put(p uintptr, text string) uintptr {
	// nosplit: see printed.
	from := uintptr(unsafe.Pointer(unsafe.StringData(text)))
	for i := uintptr(0); i < uintptr(len(text)); i++ {
		*at[byte](p + i) = *at[byte](from + i)
	}
	return p + uintptr(len(text))
}

//go:nosplit
//go:norace
//go:nocheckptr
func putNumber(p uintptr, v, base uint64) uintptr {
	// nosplit: see printed.
	digits := uintptr(1)
	for w := v; w >= base; w /= base {
		digits++
	}
	for i := digits; i > 0; i-- {
		d := byte(v%base) + '0'
		if d > '9' {
			d += 'a' - '0' - 10
		}
		*at[byte](p + i - 1) = d
		v /= base
	}
	return p + digits
}
