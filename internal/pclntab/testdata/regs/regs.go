// Package regs lets tests look at the registers and the stack that unwinding starts from.
package regs

// Here returns the stack pointer as its caller left it, and the address that it returns to. The
// caller is the adapter that Go puts between its own and assembly's calling convention.
func Here() (sp, pc uintptr)

// Load reads the word at addr, which the garbage collector does not know as a pointer.
func Load(addr uintptr) uintptr
