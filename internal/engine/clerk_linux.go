//go:build linux && (amd64 || arm64)

package engine

import (
	"bytes"
	"fmt"
	"os"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// errand is what Go code has the clerk do with the engine's descriptors. Its writer waits for the end.
type errand struct {
	bell    uint32 // raised for a new errand, and to stop
	done    uint32
	kind    uint32
	fd      uint32
	errno   uint32
	_       uint32
	request uintptr // errandIoctl
	args    [errandArgs]uint64
	n       uint64 // errandForeign: claims, three words each in args, of which the first becomes 0 where it does not hold. errandMaps: length
}

// Kinds of errand.
const (
	errandIoctl   = iota // one ioctl, whose argument is args
	errandForeign        // which of these claims do not hold
	errandMaps           // read /proc/self/maps
	errandLocks          // whether some memory is locked: n is 1
)

// errandClaims is how many claims one errand can ask for.
const (
	errandClaims = 512
	errandArgs   = 3 * errandClaims
)

//go:nosplit
//go:norace
//go:nocheckptr
func clerk(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	s.serve(w, &s.errand.bell, &s.errand.done, runErrand)
}

//go:nosplit
//go:norace
//go:nocheckptr
func runErrand(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.errand
	switch c.kind {
	case errandLocks:
		if c.n = 0; s.anyLocks(w, s.list) {
			c.n = 1
		}
		return
	case errandIoctl:
		c.errno = uint32(raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(c.fd), c.request, uintptr(unsafe.Pointer(&c.args)), 0, 0, 0)))
		if c.request == uintptr(uffd.IoctlUnregister) && c.errno != 0 {
			w.refused = uintptr(c.errno)
			deep(unreleased, arg)
		}
		return
	case errandMaps:
		// Opened anew: the place in the other one is the surgeon's.
		path := uintptr(unsafe.Pointer(&w.vec))
		*at[uint8](path + uintptr(copyText(path, mapsPath))) = 0
		fd := raw.Syscall(unix.SYS_OPENAT, atFDCWD, path, unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
		if e := raw.Errno(fd); e != 0 {
			c.n, c.errno = 0, uint32(e)
			return
		}
		c.n, c.errno = uint64(readText(uint32(fd), s.list)), uint32(unix.EFBIG)
		raw.Syscall(unix.SYS_CLOSE, fd, 0, 0, 0, 0, 0)
		return
	}
	for i := uint64(0); i < c.n; i++ {
		p := uintptr(unsafe.Pointer(&c.args)) + uintptr(i)*24
		t, addr, length := at[target](*at[uintptr](p)), *at[uintptr](p + 8), *at[uintptr](p + 16)
		is := answerNo
		if t.kind == kindShared {
			is = s.askedShared(w, t, addr, length)
		} else {
			is = s.asked(w, t, addr, length)
		}
		if is == answerNo {
			*at[uintptr](p) = 0
		}
	}
}

// send has the clerk run the errand and waits in the kernel, where this thread can be parked like any
// other. The caller holds errandMu.
func (e *Engine) send() {
	c := &e.s.errand
	before := raw.Load32(&c.done)
	bell := raw.Add32(&c.bell, 1)
	futexWake(&c.bell, 1)
	if !e.await(&c.done, before, bell, clerkNumber) {
		c.errno, c.n = uint32(unix.ESRCH), 0
	}
}

// descriptor is a userfaultfd that is in the tables of the engine's threads alone.
type descriptor struct {
	e  *Engine
	fd uint32
}

// ioctl makes one request; the kernel reads and writes the argument in args.
func (d descriptor) ioctl(request uffd.Ioctl, args []uint64) unix.Errno {
	d.e.errandMu.Lock()
	defer d.e.errandMu.Unlock()
	c := &d.e.s.errand
	c.kind, c.fd, c.request = errandIoctl, d.fd, uintptr(request)
	copy(c.args[:], args)
	d.e.send()
	copy(args, c.args[:])
	return unix.Errno(c.errno)
}

// Register is uffd.FD.Register.
func (d descriptor) Register(r uffd.Range, mode uffd.RegisterMode) (uffd.IoctlSet, error) {
	args := [4]uint64{uint64(r.Start), uint64(r.Len()), uint64(mode)}
	if errno := d.ioctl(uffd.IoctlRegister, args[:]); errno != 0 {
		return 0, uffd.NewError("UFFDIO_REGISTER "+mode.String(), r, errno)
	}
	return uffd.IoctlSet(args[3]), nil
}

// Unregister is uffd.FD.Unregister.
func (d descriptor) Unregister(r uffd.Range) error {
	args := [2]uint64{uint64(r.Start), uint64(r.Len())}
	if errno := d.ioctl(uffd.IoctlUnregister, args[:]); errno != 0 {
		return uffd.NewError("UFFDIO_UNREGISTER", r, errno)
	}
	return nil
}

// Maps hands /proc/self/maps to parse, which must not keep it, and corrects the estimate of how many
// mappings there are.
func (e *Engine) Maps(parse func(text []byte) error) error {
	e.errandMu.Lock()
	defer e.errandMu.Unlock()
	c := &e.s.errand
	c.kind = errandMaps
	before := raw.Load64(&e.s.maps)
	e.send()
	if c.n == 0 && e.givenBack() { // the clerk is no more, and nothing of ours is among the mappings
		text, err := os.ReadFile(mapsPath)
		if err != nil {
			return err
		}
		return parse(text)
	}
	if c.n == 0 {
		return fmt.Errorf("read /proc/self/maps: %w", unix.Errno(c.errno))
	}
	text := unsafe.Slice(at[byte](e.s.list), c.n)
	counted := bytes.Count(text, []byte{'\n'})
	e.s.correctMaps(before, counted)
	if err := e.s.noLists(counted); err != nil {
		return err
	}
	return parse(text)
}

const (
	mapsPath  = "/proc/self/maps"
	smapsPath = "/proc/self/smaps"
)

// AddrRange is [Lo, Hi).
type AddrRange struct{ Lo, Hi uintptr }

// Claim says that a range, which lies in one mapping, is a target's: its placeholder still, or of shared memory registered still.
type Claim struct {
	*Target
	AddrRange
}

// Foreign returns the indices of the claims that do not hold any more.
func (e *Engine) Foreign(claims []Claim) (foreign []int) {
	e.errandMu.Lock()
	defer e.errandMu.Unlock()
	c := &e.s.errand
	for first := 0; first < len(claims); first += errandClaims {
		part := claims[first:min(first+errandClaims, len(claims))]
		c.kind, c.n = errandForeign, uint64(len(part))
		for i, r := range part {
			c.args[3*i], c.args[3*i+1], c.args[3*i+2] = uint64(uintptr(unsafe.Pointer(r.t))), uint64(r.AddrRange.Lo), uint64(r.AddrRange.Hi-r.AddrRange.Lo)
		}
		e.send()
		for i := range part {
			if c.args[3*i] == 0 {
				foreign = append(foreign, first+i)
			}
		}
	}
	return foreign
}
