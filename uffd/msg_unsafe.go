package uffd

import "unsafe"

// The kernel's struct is packed, so the Go one must have no padding of its own.
var _ = [1]struct{}{}[unsafe.Sizeof(Msg{})-msgSize]

// first32 is the first half of a word of the union, which the kernel fills alone: the low one where
// the machine is little-endian, the high one on s390x.
func first32(word *uint64) int32 { return *(*int32)(unsafe.Pointer(word)) }

// msgBytes is the memory of msgs, for read(2) to fill.
func msgBytes(msgs []Msg) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(msgs))), len(msgs)*msgSize)
}
