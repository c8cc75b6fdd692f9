//go:build linux && (amd64 || arm64)

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// The application may close descriptors that it does not own: a loop over all numbers before it
// becomes a daemon, or a number that it closes twice. When the last descriptor of a userfaultfd goes,
// the kernel unregisters its memory, and what was armed reads as zeros. So the engine's descriptors
// are in no table that the application can reach: each thread of the engine has a table of its own,
// and Go code asks the clerk (clerk_linux.go). The numbers in shared are valid in those tables only.

// descriptors are the engine's, in the table of the process, until the threads have theirs.
type descriptors struct {
	arena, overlay, layers *uffd.FD
	without                error // why there are no userfaultfds, with delivery by signal; nil where there are
	nothing                int   // eventfd in their place, whose count stays 0
	stop                   int   // eventfd
	files                  []*os.File
}

// WithoutUserfaultfd is for tests of delivery by signal: as where no userfaultfd can be had.
var WithoutUserfaultfd bool

var errForTests = errors.New("a test does without userfaultfd")

func (d *descriptors) open(signals bool) error {
	d.stop, d.nothing = -1, -1
	base := uffd.FeatureThreadID | uffd.FeatureExactAddress
	if signals {
		// The handler knows the exact address without it, but not on kernels as old (Linux 5.18): it needs
		// MADV_POPULATE_READ (5.14) to tell the program's own signals.
		base = uffd.FeatureSigbus | uffd.FeatureExactAddress
	}
	err := d.openFaults(base)
	if err == nil && signals && WithoutUserfaultfd {
		err = errors.Join(errForTests, d.closeFaults())
	}
	if err != nil && !signals {
		return err
	}
	if err != nil {
		// Everything is observed by its access alone. What reads, polls and asks descriptors finds one that never has
		// anything to say, and answers any ioctl with ENOTTY.
		d.without = errors.Join(err, d.closeFaults())
		if d.nothing, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
			return fmt.Errorf("eventfd: %w", err)
		}
	}
	for _, path := range []string{mapsPath, "/proc/self/task", "/proc/self/pagemap", smapsPath} {
		f, err := os.Open(path)
		if path == smapsPath && errors.Is(err, fs.ErrNotExist) { // not in every kernel, and has flags where it is
			f, err = os.Open(mapsPath)
		}
		if err != nil {
			if errors.Is(err, fs.ErrPermission) {
				// set_dumpable, kernel/cred.c: the files are root's then.
				err = fmt.Errorf("%w: a process that changed its user has to call prctl(PR_SET_DUMPABLE, 1) afterwards, or be started as that user", err)
			}
			return fmt.Errorf("the engine needs /proc: %w", err)
		}
		d.files = append(d.files, f)
	}
	if d.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	return nil
}

// openFaults opens the userfaultfds.
func (d *descriptors) openFaults(base uffd.Features) (err error) {
	if d.arena, d.layers, err = openMemory(base); err != nil {
		return err
	}
	d.overlay, err = uffd.Open(uffd.WithFeatures(base|uffd.FeatureEventRemap), uffd.WithNonblock())
	return err
}

// closeFaults closes the userfaultfds.
func (d *descriptors) closeFaults() error {
	var errs []error
	for _, f := range []**uffd.FD{&d.arena, &d.overlay, &d.layers} {
		if *f != nil {
			errs = append(errs, (*f).Close())
		}
		*f = nil
	}
	return errors.Join(errs...)
}

// userModeOnly reports whether of any memory only faults in user mode are served.
func (d *descriptors) userModeOnly() bool {
	return d.without != nil || d.arena.UserModeOnly() || d.overlay.UserModeOnly() || d.layers.UserModeOnly()
}

// number tells the threads what to keep, and x what the process keeps.
func (d *descriptors) number(s *shared, x *exposed) error {
	s.stopFD = uint32(d.stop)
	if s.without = d.without != nil; s.without {
		s.arenaFD, s.overlayFD, s.layersFD = uint32(d.nothing), uint32(d.nothing), uint32(d.nothing)
	} else {
		s.arenaFD, s.overlayFD, s.layersFD = uint32(d.arena.Fd()), uint32(d.overlay.Fd()), uint32(d.layers.Fd())
	}
	s.mapsFD, s.taskFD, s.pagemapFD, s.smapsFD = uint32(d.files[0].Fd()), uint32(d.files[1].Fd()), uint32(d.files[2].Fd()), uint32(d.files[3].Fd())
	if s.signals {
		if err := x.expose(&s.arenaFD, &s.mapsFD, &s.pagemapFD); err != nil {
			return err
		}
		for i := range s.exposed {
			o := (*x)[i]
			s.exposed[i] = exposedID{uint64(o.fd), o.dev, o.inode}
		}
	}
	s.keep = [keepLen]uint32{s.arenaFD, s.overlayFD, s.layersFD, s.stopFD, s.mapsFD, s.taskFD, s.pagemapFD, s.smapsFD}
	slices.Sort(s.keep[:]) // without userfaultfds two of them are the same
	return nil
}

// wake ends the readers' poll, where the surgeon may not have been started.
func (d *descriptors) wake() {
	if d.stop >= 0 {
		one := [8]byte{1}
		unix.Write(d.stop, one[:])
	}
}

func (d *descriptors) close() error {
	errs := []error{d.closeFaults()}
	for _, f := range d.files {
		errs = append(errs, f.Close())
	}
	for _, fd := range []int{d.stop, d.nothing} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	*d = descriptors{stop: -1, nothing: -1, without: d.without}
	return errors.Join(errs...)
}

// handOver waits until every thread has its own table, and then closes what the process has.
func (e *Engine) handOver() error {
	deadline, ts := time.Now().Add(joinTimeout), unix.NsecToTimespec(int64(100*time.Millisecond))
	for _, p := range e.workers {
		w := at[worker](p)
		for raw.Load32(&w.apart) == 0 {
			if time.Now().After(deadline) {
				return fmt.Errorf("thread %d of the engine did not come up within %v", w.number, joinTimeout)
			}
			unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&w.apart)), futexWaitPrivate, 0, uintptr(unsafe.Pointer(&ts)), 0, 0)
		}
		if v := raw.Load32(&w.apart); v != apartOK {
			return fmt.Errorf("give the engine's threads descriptors of their own (close_range with CLOSE_RANGE_UNSHARE; a seccomp filter has to allow it): %w", unix.Errno(v))
		}
	}
	return e.opened.close()
}

const (
	keepLen           = 8
	apartOK           = ^uint32(0)
	closeRangeUnshare = 1 << 1 // CLOSE_RANGE_UNSHARE, include/uapi/linux/close_range.h
)

// member is what every thread of the engine runs around its body.
//
//go:nosplit
//go:norace
//go:nocheckptr
func member(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	e := s.separate(w)
	if e != 0 {
		raw.Store32(&w.apart, uint32(e))
	} else {
		raw.Store32(&w.apart, apartOK)
	}
	futexWake(&w.apart, 1)
	if e != 0 {
		return
	}
	deep(w.body, arg)
	// Not left to the end of the thread: whoever joins it may go on before its table is gone.
	s.closeAll(w)
}

// separate gives the calling thread a table of descriptors of its own that holds the engine's alone,
// so that nothing else stays open because of it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) separate(w *worker) uintptr {
	if e := closeRange(s.keep[keepLen-1]+1, ^uint32(0), closeRangeUnshare); e != 0 {
		return e
	}
	next := uint32(0)
	for i := range s.keep {
		if s.keep[i] > next {
			if e := closeRange(next, s.keep[i]-1, 0); e != 0 {
				return e
			}
		}
		next = s.keep[i] + 1
	}
	// An empty range is a wrong argument to every userfaultfd, and a wrong request to anything else:
	// the number may have been closed since it was opened.
	for _, fd := range [3]uint32{s.arenaFD, s.overlayFD, s.layersFD} {
		if s.without {
			break
		}
		w.args[0], w.args[1] = 0, 0
		e := raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(uffd.IoctlWake), uintptr(unsafe.Pointer(&w.args)), 0, 0, 0))
		if unix.Errno(e) != unix.EINVAL {
			return uintptr(unix.EBADF)
		}
	}
	return 0
}

//go:nosplit
//go:norace
//go:nocheckptr
func closeRange(first, last, flags uint32) uintptr {
	return raw.Errno(raw.Syscall(unix.SYS_CLOSE_RANGE, uintptr(first), uintptr(last), uintptr(flags), 0, 0, 0))
}
