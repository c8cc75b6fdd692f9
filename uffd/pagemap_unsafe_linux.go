package uffd

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Pagemap is an open /proc/PID/pagemap: what the kernel knows of each page of a process. All methods
// are safe for concurrent use.
type Pagemap struct {
	mu   sync.RWMutex // held shared over each call, so that Close cannot give its number away
	file *os.File
}

// OpenPagemap opens the pagemap of the calling process (pid 0) or of another one, for which it takes
// the right to trace it.
func OpenPagemap(pid int) (*Pagemap, error) {
	if !knownArch() {
		return nil, errArch()
	}
	who := "self"
	if pid != 0 {
		who = strconv.Itoa(pid)
	}
	file, err := os.Open("/proc/" + who + "/pagemap")
	if err != nil {
		return nil, fmt.Errorf("pagemap of process %s: %w: it needs /proc, and for another process the right to trace it", who, err)
	}
	return &Pagemap{file: file}, nil
}

// Close closes the file. A second Close is ErrClosed.
func (p *Pagemap) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return readError(p.file.Close())
}

// Entries reads the entries of the pages that begin at start, which is rounded down to its page. All
// zero bits stand for memory that is not mapped.
func (p *Pagemap) Entries(start Addr, into []PagemapEntry) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(into))), len(into)*8)
	if _, err := p.file.ReadAt(raw, int64(uint64(start)/uint64(PageSize())*8)); err != nil {
		return fmt.Errorf("pagemap at %v: %w", start, readError(err))
	}
	return nil
}

// Scan calls visit with the regions of r that match q, in the order of their addresses, in parts
// that fill buf. It goes on until all of r is scanned, visit answers false, or q.MaxPages were reported. Pages are reported,
// and with ScanWPMatching protected, once.
//
// Errors: ErrNotSupported (an older kernel), ErrInvalid (the range, a category that the kernel does not know, an empty
// buf), ErrPermission (see ScanCheckWPAsync), ErrClosed.
//
// Needs Linux 6.7.
func (p *Pagemap) Scan(r Range, q ScanQuery, buf []PageRegion, visit func([]PageRegion) bool) error {
	arg := pagemapScanArg{
		Flags: uint64(q.Flags), Start: uint64(r.Start), End: uint64(r.End),
		CategoryMask: uint64(q.All), CategoryAnyofMask: uint64(q.Any),
		CategoryInverted: uint64(q.Inverted), ReturnMask: uint64(q.Return),
	}
	if r.End < r.Start || len(buf) == 0 || q.MaxPages < 0 {
		return newError("PAGEMAP_SCAN", r, 0, unix.EINVAL)
	}
	for left := uint64(q.MaxPages); ; {
		arg.MaxPages = left
		n, errno := p.rawScan(&arg, buf)
		if errno != 0 {
			return newError("PAGEMAP_SCAN", r, int64(arg.Start)-int64(r.Start), errno)
		}
		if n > 0 && !visit(buf[:n]) || arg.WalkEnd >= arg.End {
			return nil
		}
		arg.Start = arg.WalkEnd
		if q.MaxPages > 0 {
			for _, region := range buf[:n] {
				left -= min(left, uint64(region.Len())/uint64(PageSize()))
			}
			if left == 0 {
				return nil
			}
		}
	}
}

// rawScan makes one ioctl with buf for its answer, which may be empty, and returns how many regions
// are in it. It sets Size, Vec and VecLen, and WalkEnd to Start in case the kernel does not. After
// Close it is EBADF.
func (p *Pagemap) rawScan(arg *pagemapScanArg, buf []PageRegion) (int, unix.Errno) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	arg.Size, arg.WalkEnd, arg.VecLen, arg.Vec = uint64(unsafe.Sizeof(*arg)), arg.Start, uint64(len(buf)), 0
	if len(buf) > 0 {
		arg.Vec = uint64(escapedRegions(buf))
	}
	conn, err := p.file.SyscallConn()
	if err != nil {
		return 0, errClosed
	}
	var n uintptr
	var errno unix.Errno
	if conn.Control(func(fd uintptr) {
		n, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, uintptr(IoctlPagemapScan), uintptr(unsafe.Pointer(arg)))
	}) != nil {
		return 0, errClosed
	}
	keepRegions(buf)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
