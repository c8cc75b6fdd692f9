//go:build linux && (amd64 || arm64)

//lint:file-ignore U1000 assembly calls these, by name or through signalCode

package engine

import "unsafe"

// The assembly enters Go through func values, whose code follows Go's internal calling convention
// with arguments in registers. The wrappers that the compiler makes for calls from assembly by name
// are instrumented under -race, also where the function is not, and crash on a thread without a g.

// codeOf returns the address of a function's code.
func codeOf[F func(uintptr) | func(info, ctx, g uintptr) uintptr | func(a, b, c, d uintptr) uintptr](f F) uintptr {
	return **(**uintptr)(unsafe.Pointer(&f))
}

// signalCode is the code of onSignal, for sigtramp.
var signalCode = codeOf(onSignal)

// entries returns the addresses of the assembly entries.
func entries() (thread, handler, restorer uintptr)

// threadEntry runs worker.code(worker) on a new thread. Go never calls it.
func threadEntry(arg uintptr)

// deep calls f(arg). The linker bounds how much stack a chain of nosplit functions may use, as if
// it ran on the last bytes of a goroutine's stack. The engine's threads have stacks of their own, so
// a chain may end at a call through a function value, and another begin. Never from a goroutine.
//
//go:noescape
func deep(f func(uintptr), arg uintptr)

// sigtramp and sigreturn are entered by the kernel.
func sigtramp()
func sigreturn()
