package uffd

import "unsafe"

// The kernel's struct is packed, so the Go one must have no padding of its own.
var _ = [1]struct{}{}[unsafe.Sizeof(Msg{})-MsgSize]

// msgBytes is the memory of msgs, for read(2) to fill.
func msgBytes(msgs []Msg) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(msgs))), len(msgs)*MsgSize)
}
