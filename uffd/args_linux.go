package uffd

// The ioctl arguments, include/uapi/linux/userfaultfd.h. Addresses and lengths are in bytes. The
// kernel reads all but the last field of those that end in an output field, and writes only that.

// apiArg is struct uffdio_api.
type apiArg struct {
	API      uint64 // in: apiVersion
	Features uint64 // in: to enable; out: what the kernel can do
	Ioctls   uint64 // out: an IoctlSet for the descriptor
}

// rangeArg is struct uffdio_range.
type rangeArg struct {
	Start uint64
	Len   uint64
}

// registerArg is struct uffdio_register.
type registerArg struct {
	Range  rangeArg
	Mode   RegisterMode
	Ioctls uint64 // out: an IoctlSet for the range
}

// copyArg is struct uffdio_copy.
type copyArg struct {
	Dst  uint64
	Src  uint64 // need not be aligned
	Len  uint64
	Mode CopyMode
	Copy int64 // out: bytes copied, or a negated errno
}

// zeropageArg is struct uffdio_zeropage.
type zeropageArg struct {
	Range    rangeArg
	Mode     ZeropageMode
	Zeropage int64 // out: bytes filled, or a negated errno
}

// moveArg is struct uffdio_move.
type moveArg struct {
	Dst  uint64
	Src  uint64
	Len  uint64
	Mode MoveMode
	Move int64 // out: bytes moved, or a negated errno
}

// writeProtectArg is struct uffdio_writeprotect. It has no output field.
type writeProtectArg struct {
	Range rangeArg
	Mode  WriteProtectMode
}

// continueArg is struct uffdio_continue.
type continueArg struct {
	Range  rangeArg
	Mode   ContinueMode
	Mapped int64 // out: bytes mapped, or a negated errno
}

// poisonArg is struct uffdio_poison.
type poisonArg struct {
	Range   rangeArg
	Mode    PoisonMode
	Updated int64 // out: bytes poisoned, or a negated errno
}

// rwProtectArg is struct uffdio_rwprotect. It has no output field.
type rwProtectArg struct {
	Range rangeArg
	Mode  rwProtectMode
}

// setModeArg is struct uffdio_set_mode. It has no output field.
type setModeArg struct {
	Enable  uint64 // Features
	Disable uint64 // Features
}

// pagemapScanArg is struct pm_scan_arg, include/uapi/linux/fs.h.
type pagemapScanArg struct {
	Size              uint64 // of the struct
	Flags             uint64 // ScanFlags
	Start             uint64
	End               uint64
	WalkEnd           uint64 // out: where the scan stopped; End where it is finished
	Vec               uint64 // address of PageRegions; 0 where only Flags are to have an effect
	VecLen            uint64 // how many fit
	MaxPages          uint64 // stop after so many matching pages; 0 is no limit
	CategoryInverted  uint64 // Categories that match where they are absent
	CategoryMask      uint64 // Categories that all have to match
	CategoryAnyofMask uint64 // Categories of which one has to match; 0 asks for none
	ReturnMask        uint64 // Categories that are reported
}
