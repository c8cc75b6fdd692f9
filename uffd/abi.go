package uffd

// The numbers of this file are the kernel's ABI, include/uapi/linux/userfaultfd.h, kept here as our
// own table: the header of the machine that builds a program says nothing about the kernel that
// will run it. The ioctl numbers are those of the generic
// encoding, see knownArch.

// apiVersion is the only protocol version that any kernel has spoken, UFFD_API.
const apiVersion = 0xaa

// Ioctl is the request number of an ioctl. It holds a number (the low byte), the size of the
// argument and the direction in which that is copied.
type Ioctl uint32

// ioctl requests. IoctlNew goes to /dev/userfaultfd (Linux 6.1), all others to the descriptor that
// Open returns.
const (
	IoctlNew          Ioctl = 0xaa00     // USERFAULTFD_IOC_NEW, flags as argument
	IoctlAPI          Ioctl = 0xc018aa3f // apiArg
	IoctlRegister     Ioctl = 0xc020aa00 // registerArg
	IoctlUnregister   Ioctl = 0x8010aa01 // rangeArg
	IoctlWake         Ioctl = 0x8010aa02 // rangeArg
	IoctlCopy         Ioctl = 0xc028aa03 // copyArg
	IoctlZeropage     Ioctl = 0xc020aa04 // zeropageArg
	IoctlMove         Ioctl = 0xc028aa05 // moveArg, Linux 6.8
	IoctlWriteProtect Ioctl = 0xc018aa06 // writeProtectArg, Linux 5.7
	IoctlContinue     Ioctl = 0xc020aa07 // continueArg, Linux 5.13
	IoctlPoison       Ioctl = 0xc020aa08 // poisonArg, Linux 6.6
	IoctlRWProtect    Ioctl = 0xc018aa09 // rwProtectArg, after Linux 7.1
	IoctlSetMode      Ioctl = 0x4010aa0a // setModeArg, after Linux 7.1
)

// IoctlPagemapScan goes to /proc/PID/pagemap, include/uapi/linux/fs.h: pagemapScanArg, Linux 6.7.
const IoctlPagemapScan Ioctl = 0xc0606610

// userModeOnly is the flag of userfaultfd(2) that restricts the descriptor to faults made in user
// mode, UFFD_USER_MODE_ONLY (Linux 5.11).
const userModeOnly = 1

// Event is the kind of a message, its first byte.
type Event uint8

// The events.
const (
	EventPagefault Event = 0x12
	EventFork      Event = 0x13 // Needs FeatureEventFork.
	EventRemap     Event = 0x14 // Needs FeatureEventRemap.
	EventRemove    Event = 0x15 // Needs FeatureEventRemove.
	EventUnmap     Event = 0x16 // Needs FeatureEventUnmap.
)

// PagefaultFlags says what an EventPagefault message is about. Without WP, Minor and RWP it is a
// missing page.
type PagefaultFlags uint64

// The flags of a page fault.
const (
	PagefaultFlagWrite PagefaultFlags = 1 << 0 // the access was a write
	PagefaultFlagWP    PagefaultFlags = 1 << 1 // the page is write-protected
	PagefaultFlagMinor PagefaultFlags = 1 << 2 // the page exists in the file, but is not mapped
	PagefaultFlagRWP   PagefaultFlags = 1 << 3 // the page is protected against reads too, after Linux 7.1
)

// Each ioctl has modes of its own, and the same bit means something else to each: 1 is "do not wake"
// to UFFDIO_COPY and "protect" to UFFDIO_WRITEPROTECT. So each has a type of its own. The zero value
// is the plain call. Dontwake leaves the threads that wait for the range asleep until Wake.
type (
	CopyMode         uint64 // of UFFDIO_COPY
	ZeropageMode     uint64 // of UFFDIO_ZEROPAGE
	MoveMode         uint64 // of UFFDIO_MOVE
	ContinueMode     uint64 // of UFFDIO_CONTINUE
	PoisonMode       uint64 // of UFFDIO_POISON
	WriteProtectMode uint64 // of UFFDIO_WRITEPROTECT
	rwProtectMode    uint64 // of UFFDIO_RWPROTECT
)

// The modes.
const (
	CopyModeDontwake         CopyMode         = 1 << 0
	CopyModeWP               CopyMode         = 1 << 1 // map the page write-protected
	ZeropageModeDontwake     ZeropageMode     = 1 << 0
	MoveModeDontwake         MoveMode         = 1 << 0
	MoveModeAllowSrcHoles    MoveMode         = 1 << 1 // skip pages that the source does not have
	ContinueModeDontwake     ContinueMode     = 1 << 0
	ContinueModeWP           ContinueMode     = 1 << 1 // map the page write-protected, Linux 6.4
	PoisonModeDontwake       PoisonMode       = 1 << 0
	WriteProtectModeWP       WriteProtectMode = 1 << 0 // protect; without it, unprotect and wake
	WriteProtectModeDontwake WriteProtectMode = 1 << 1 // only without WP
	rwProtectModeRWP         rwProtectMode    = 1 << 0 // protect; without it, unprotect and wake
	rwProtectModeDontwake    rwProtectMode    = 1 << 1 // only without RWP
)

// msgSize is the size in bytes of one message, sizeof(struct uffd_msg).
const msgSize = 32
