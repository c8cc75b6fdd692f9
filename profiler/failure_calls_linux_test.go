//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// refusedCalls are the system calls that the engine makes while it runs. Those that the Go runtime needs
// too (futex, nanosleep, munmap, close) cannot be refused to the engine alone.
var refusedCalls = []struct {
	name       string
	call       uint32
	arg, value int // the argument that tells the engine's from others
	errno      unix.Errno
	says       string // in an error, LastError or a note; empty where the kernel's answer changes nothing that matters
	inexact    bool   // what is touched later may not be seen
	system     bool   // made for memory only that system calls are served in
}{
	{"read of messages", unix.SYS_READ, 2, 32, unix.EIO, unix.EIO.Error(), true, false},
	{"ppoll", unix.SYS_PPOLL, 1, 3, unix.ENOMEM, "", false, false},
	{"UFFDIO_COPY", unix.SYS_IOCTL, 1, int(uffd.IoctlCopy), unix.ENOMEM, unix.ENOMEM.Error(), true, false},
	{"UFFDIO_ZEROPAGE", unix.SYS_IOCTL, 1, int(uffd.IoctlZeropage), unix.ENOMEM, unix.ENOMEM.Error(), true, false},
	{"UFFDIO_MOVE", unix.SYS_IOCTL, 1, int(uffd.IoctlMove), unix.EPERM, "", true, false},
	{"UFFDIO_CONTINUE", unix.SYS_IOCTL, 1, int(uffd.IoctlContinue), unix.EPERM, "UFFDIO_CONTINUE", false, false},
	{"UFFDIO_CONTINUE, unknown", unix.SYS_IOCTL, 1, int(uffd.IoctlContinue), unix.ENOSYS, "UFFDIO_CONTINUE", false, false},
	{"UFFDIO_WRITEPROTECT", unix.SYS_IOCTL, 1, int(uffd.IoctlWriteProtect), unix.EPERM, "UFFDIO_WRITEPROTECT", false, true},
	{"mremap", unix.SYS_MREMAP, anyArgument, 0, unix.EPERM, "mremap", true, false},
	{"MADV_DONTNEED", unix.SYS_MADVISE, 2, unix.MADV_DONTNEED, unix.EPERM, unix.EPERM.Error(), true, true},
	{"MADV_NOHUGEPAGE", unix.SYS_MADVISE, 2, unix.MADV_NOHUGEPAGE, unix.EPERM, unix.EPERM.Error(), true, false},
	{"MADV_DOFORK", unix.SYS_MADVISE, 2, unix.MADV_DOFORK, unix.EPERM, "", true, false},
	{"PAGEMAP_SCAN", unix.SYS_IOCTL, 1, 0xc0606610, unix.EPERM, "PAGEMAP_SCAN", true, false},
	{"mprotect", unix.SYS_MPROTECT, anyArgument, 0, unix.EPERM, "", true, false},
	{"UFFDIO_WAKE", unix.SYS_IOCTL, 1, int(uffd.IoctlWake), unix.EPERM, "UFFDIO_WAKE", true, false},
	{"UFFDIO_REGISTER", unix.SYS_IOCTL, 1, int(uffd.IoctlRegister), unix.ENOMEM, unix.ENOMEM.Error(), true, false},
	{"UFFDIO_UNREGISTER", unix.SYS_IOCTL, 1, int(uffd.IoctlUnregister), unix.EPERM, unix.EPERM.Error(), true, false},
	{"PROCMAP_QUERY", unix.SYS_IOCTL, 1, 0xc0686611, unix.ENOTTY, "", false, false},
	{"mincore", unix.SYS_MINCORE, anyArgument, 0, unix.EPERM, "", false, false},
	{"MADV_POPULATE_READ", unix.SYS_MADVISE, 2, unix.MADV_POPULATE_READ, unix.EINVAL, "", false, false},
	{"MADV_DONTFORK", unix.SYS_MADVISE, 2, unix.MADV_DONTFORK, unix.ENOMEM, unix.ENOMEM.Error(), true, false},
	{"msync", unix.SYS_MSYNC, anyArgument, 0, unix.EIO, unix.EIO.Error(), false, false},
	{"rt_tgsigqueueinfo", unix.SYS_RT_TGSIGQUEUEINFO, anyArgument, 0, unix.EAGAIN, "", true, false},
	{"getdents64", unix.SYS_GETDENTS64, anyArgument, 0, unix.EIO, "getdents64", true, false},
	{"lseek", unix.SYS_LSEEK, anyArgument, 0, unix.EIO, "", true, false},
	{"openat", unix.SYS_OPENAT, anyArgument, 0, unix.EMFILE, "", true, false},
	{"pread64", unix.SYS_PREAD64, anyArgument, 0, unix.EIO, "", true, false},
	{"getrusage", unix.SYS_GETRUSAGE, anyArgument, 0, unix.EPERM, "", false, false},
	{"sched_setscheduler", unix.SYS_SCHED_SETSCHEDULER, anyArgument, 0, unix.EPERM, "", false, false},
	{"sched_setaffinity", unix.SYS_SCHED_SETAFFINITY, anyArgument, 0, unix.EPERM, "", false, false},
	{"mmap", unix.SYS_MMAP, 3, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE, unix.ENOMEM, unix.ENOMEM.Error(), true, false},
}

// Each system call of the engine is refused while memory is armed: touches go on, memory holds what it
// should, the profile or an error says what happened, and the profiler ends or says why not.
func TestRefusedCalls(t *testing.T) {
	aside(t)
	for _, c := range refusedCalls {
		inChild(t, "TestRefusedCalls", c.name, nil, func(t *testing.T) {
			const pages = 400
			p := newProfiler(t)
			regions := arm(t, p, pages)
			for i := range 100 {
				clear(page(regions[0].memory, i))
			}
			closeBusy(t, regions[1].region.Rearm)
			rearm(t, regions[0].region) // what was written is in a layer now
			regions = append(regions, armKinds(t, p, pages)...)
			refuseWhere(t, c.call, uint32(c.arg), uint32(c.value), c.errno)
			var said []string
			try := func(err error) {
				if err != nil {
					said = append(said, err.Error())
				}
			}
			for range 2 {
				for _, a := range regions {
					a.spread(t, 8, hangMixedOf(hangLoad, hangCompare, hangClear))
					try(a.region.Rearm())
				}
			}
			_, err := p.NewArena("late", 64*pageSize)
			try(err)
			s := p.Snapshot()
			for _, a := range regions {
				if i := different(a.memory, a.want); i >= 0 {
					t.Errorf("%s: byte %d is %d, want %d", a.region.Name(), i, a.memory[i], a.want[i])
				}
				r := s.Regions[a.region.ID()]
				if n := uint64(3 * pages); !c.inexact && a.file != nil && r.Faults != n-uint64(pages) {
					t.Errorf("%s: %d faults", a.region.Name(), r.Faults)
				}
			}
			try(p.Close())
			for _, a := range regions {
				if i := different(a.memory, a.want); i >= 0 {
					t.Errorf("closed: %s: byte %d is %d, want %d", a.region.Name(), i, a.memory[i], a.want[i])
				}
			}
			said = append(append(said, s.Stats.LastError), s.Stats.Notes...)
			made := (!c.system || !s.Stats.UserModeOnly) && !(c.name == "msync" && testDelivery() == DeliverySignal)
			if made && c.says != "" && !slices.ContainsFunc(said, func(text string) bool { return strings.Contains(text, c.says) }) {
				t.Errorf("nothing says %q: %q", c.says, said)
			}
			t.Logf("seen: touches go on, contents intact; it said %q", strings.Join(said, "; "))
			// What could not be given back stays served, so the test's own end must not want it back.
			leave(t)
		})
	}
}

// armKinds makes the other kinds of region: shared memory, private memory that held something before, and memory of
// which writes alone are observed. It leaves out what this kernel cannot observe, and says so.
func armKinds(t *testing.T, p *Profiler, pages int) (regions []*armed) {
	t.Helper()
	size := pages * pageSize
	fd := newMemfd(t, size, 0)
	shared := mapKind(t, fd, size, unix.MAP_SHARED)
	copy(shared, contents(size))
	for _, k := range []struct {
		name   string
		memory []byte
		attach func(b []byte) (*Region, error)
	}{
		{"shared", shared, func([]byte) (*Region, error) { return p.AttachFile(fmt.Sprintf("/proc/self/fd/%d", fd)) }},
		{"private", mapMemory(t, pages), func(b []byte) (*Region, error) { return p.AttachMemory("private", b) }},
		{"writes", mapMemory(t, pages), func(b []byte) (*Region, error) {
			return p.AttachMemory("writes", b, WithWritesOnly())
		}},
	} {
		r, err := attached(func() (*Region, error) { return k.attach(k.memory) })
		if errors.Is(err, ErrNotSupported) {
			t.Logf("left out: %s memory: %v", k.name, err)
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		regions = append(regions, &armed{region: r, memory: k.memory, want: contents(size)})
	}
	return regions
}

// leave ends the child at once, with the verdict so far.
func leave(t *testing.T) {
	if t.Failed() {
		return
	}
	os.Stdout.WriteString("--- PASS: " + t.Name() + " (left)\n")
	os.Exit(0)
}
