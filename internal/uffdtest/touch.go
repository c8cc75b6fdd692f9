package uffdtest

// Touch reads the first byte of mem, and answers with it. `_ = mem[0]` does not: the compiler checks the bound and
// leaves out the load.
//
//go:noinline
func Touch(mem []byte) byte { return mem[0] }
