package uffd

// The ioctl arguments, include/uapi/linux/userfaultfd.h. Addresses and lengths are in bytes. The
// kernel reads all but the last field of those that end in an output field, and writes only that.

// APIArg is struct uffdio_api.
type APIArg struct {
	API      uint64 // in: APIVersion
	Features uint64 // in: to enable; out: what the kernel can do
	Ioctls   uint64 // out: an IoctlSet for the descriptor
}

// RangeArg is struct uffdio_range.
type RangeArg struct {
	Start uint64
	Len   uint64
}

// RegisterArg is struct uffdio_register.
type RegisterArg struct {
	Range  RangeArg
	Mode   uint64 // a RegisterMode
	Ioctls uint64 // out: an IoctlSet for the range
}

// CopyArg is struct uffdio_copy.
type CopyArg struct {
	Dst  uint64
	Src  uint64 // need not be aligned
	Len  uint64
	Mode uint64
	Copy int64 // out: bytes copied, or a negated errno
}

// ZeropageArg is struct uffdio_zeropage.
type ZeropageArg struct {
	Range    RangeArg
	Mode     uint64
	Zeropage int64 // out: bytes filled, or a negated errno
}

// MoveArg is struct uffdio_move.
type MoveArg struct {
	Dst  uint64
	Src  uint64
	Len  uint64
	Mode uint64
	Move int64 // out: bytes moved, or a negated errno
}

// WriteProtectArg is struct uffdio_writeprotect. It has no output field.
type WriteProtectArg struct {
	Range RangeArg
	Mode  uint64
}

// ContinueArg is struct uffdio_continue.
type ContinueArg struct {
	Range  RangeArg
	Mode   uint64
	Mapped int64 // out: bytes mapped, or a negated errno
}

// PoisonArg is struct uffdio_poison.
type PoisonArg struct {
	Range   RangeArg
	Mode    uint64
	Updated int64 // out: bytes poisoned, or a negated errno
}
