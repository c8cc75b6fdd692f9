package uffd

// The numbers of this file are the kernel's ABI, include/uapi/linux/userfaultfd.h, kept here as our
// own table: the header of the machine that builds a program says nothing about the kernel that
// will run it. The ioctl numbers are those of the generic encoding (amd64, arm64).

// APIVersion is the only protocol version that any kernel has spoken, UFFD_API.
const APIVersion = 0xaa

// ioctl requests. IoctlNew goes to /dev/userfaultfd (Linux 6.1), all others to the descriptor that
// Open returns.
const (
	IoctlNew          = 0xaa00     // USERFAULTFD_IOC_NEW, flags as argument
	IoctlAPI          = 0xc018aa3f // APIArg
	IoctlRegister     = 0xc020aa00 // RegisterArg
	IoctlUnregister   = 0x8010aa01 // RangeArg
	IoctlWake         = 0x8010aa02 // RangeArg
	IoctlCopy         = 0xc028aa03 // CopyArg
	IoctlZeropage     = 0xc020aa04 // ZeropageArg
	IoctlMove         = 0xc028aa05 // MoveArg, Linux 6.8
	IoctlWriteProtect = 0xc018aa06 // WriteProtectArg, Linux 5.7
	IoctlContinue     = 0xc020aa07 // ContinueArg, Linux 5.13
	IoctlPoison       = 0xc020aa08 // PoisonArg, Linux 6.6
	IoctlRWProtect    = 0xc018aa09 // RWProtectArg, after Linux 7.1
	IoctlSetMode      = 0x4010aa0a // SetModeArg, after Linux 7.1
)

// IoctlPagemapScan goes to /proc/PID/pagemap, include/uapi/linux/fs.h: PagemapScanArg, Linux 6.7.
const IoctlPagemapScan = 0xc0606610

// UserModeOnly is the flag of userfaultfd(2) that restricts the descriptor to faults made in user
// mode, UFFD_USER_MODE_ONLY (Linux 5.11).
const UserModeOnly = 1

// Events, the first byte of a message.
const (
	EventPagefault = 0x12
	EventFork      = 0x13
	EventRemap     = 0x14
	EventRemove    = 0x15
	EventUnmap     = 0x16
)

// Flags of an EventPagefault message. A fault without WP, Minor and RWP is a missing page.
const (
	PagefaultFlagWrite = 1 << 0 // the access was a write
	PagefaultFlagWP    = 1 << 1 // the page is write-protected
	PagefaultFlagMinor = 1 << 2 // the page exists in the file, but is not mapped
	PagefaultFlagRWP   = 1 << 3 // the page is protected against reads too, after Linux 7.1
)

// Modes of the fill ioctls. Dontwake leaves the threads that wait for the range asleep until Wake.
const (
	CopyModeDontwake         = 1 << 0
	CopyModeWP               = 1 << 1 // map the page write-protected
	ZeropageModeDontwake     = 1 << 0
	MoveModeDontwake         = 1 << 0
	MoveModeAllowSrcHoles    = 1 << 1 // skip pages that the source does not have
	WriteProtectModeWP       = 1 << 0 // protect; without it, unprotect and wake
	WriteProtectModeDontwake = 1 << 1
	ContinueModeDontwake     = 1 << 0
	ContinueModeWP           = 1 << 1 // map the page write-protected, Linux 6.4
	PoisonModeDontwake       = 1 << 0
	RWProtectModeRWP         = 1 << 0 // protect; without it, unprotect and wake
	RWProtectModeDontwake    = 1 << 1
)

// MsgSize is the size in bytes of one message, sizeof(struct uffd_msg).
const MsgSize = 32
