package uffd

import (
	"runtime"
	"unsafe"
)

// escapeSink is always nil. That escapedAddr could store into it is all it is for.
var escapeSink unsafe.Pointer

// escapedAddr is the address of b as a number. A goroutine's stack may move between here and the
// system call, and the number would not move with it; so b must not lie there, and letting its
// pointer escape is how the compiler is told.
func escapedAddr(b []byte) Addr {
	p := unsafe.Pointer(unsafe.SliceData(b))
	if escapeSink != nil {
		escapeSink = p
	}
	return Addr(uintptr(p))
}

// keepAlive keeps the memory behind a number made by escapedAddr from being freed before here.
func keepAlive(b []byte) { runtime.KeepAlive(b) }

// escapedRegions and keepRegions are the same for the answer of a scan.
func escapedRegions(buf []PageRegion) Addr {
	p := unsafe.Pointer(unsafe.SliceData(buf))
	if escapeSink != nil {
		escapeSink = p
	}
	return Addr(uintptr(p))
}

func keepRegions(buf []PageRegion) { runtime.KeepAlive(buf) }
