//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// refuseIoctl makes one kind of ioctl fail with errno from now on, in every thread of the process.
func refuseIoctl(t *testing.T, request uint32, errno unix.Errno) {
	t.Helper()
	// struct seccomp_data, include/uapi/linux/seccomp.h: the call's number at 0, the low half of its
	// second argument at 24.
	stmt := func(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }
	unless := func(k uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: skip, K: k}
	}
	filter := []unix.SockFilter{
		stmt(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0),
		unless(unix.SYS_IOCTL, 3),
		stmt(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 24),
		unless(request, 1),
		stmt(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ERRNO|uint32(errno)),
		stmt(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ALLOW),
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&prog)))
	if e == unix.ENOSYS || e == unix.EINVAL {
		t.Skipf("this kernel has no seccomp filters: %v", e)
	}
	if e != 0 {
		t.Fatal(e)
	}
}

// When the kernel refuses to fill an arena in the middle of a storm, the arena becomes plain memory:
// everybody goes on, nothing is lost, and the profile says what happened.
func TestRefusedFillFailsOpen(t *testing.T) {
	for _, c := range []struct {
		name    string
		request uint32
		errno   unix.Errno
		touch   func(a *armed, lo, hi int) error
	}{
		{"copy", uffd.IoctlCopy, unix.ENOMEM, hangClear},
		{"zeropage", uffd.IoctlZeropage, unix.EPERM, hangCompare},
	} {
		inChild(t, "TestRefusedFillFailsOpen", c.name, nil, func(t *testing.T) {
			const pages = 3000
			p := newProfiler(t)
			regions := arm(t, p, pages)
			for i := range 100 {
				clear(page(regions[0].memory, i))
			}
			refuseIoctl(t, c.request, c.errno)
			for _, a := range regions {
				a.spread(t, 8, c.touch)
				st := startStorm(t, a)
				st.pass()
				st.end(t)
			}
			s := p.Snapshot()
			if s.Stats.ResolveErrs == 0 || s.Stats.LastError != c.errno.Error() {
				t.Errorf("%d resolves failed, last error %q; want some, and %q", s.Stats.ResolveErrs, s.Stats.LastError, c.errno.Error())
			}
			r := s.Regions[regions[0].region.ID()]
			if r.Faults < 100 || r.Faults >= pages {
				t.Errorf("%d faults, want the 100 before and not all of %d", r.Faults, pages)
			}
			if f := s.Regions[regions[1].region.ID()].Faults; f != pages {
				t.Errorf("%d faults of the file, want %d: it is not concerned", f, pages)
			}
		})
	}
}

// Where memory cannot be registered, the error says so, and it stays what it was.
func TestRefusedRegistration(t *testing.T) {
	inChild(t, "TestRefusedRegistration", "all", nil, func(t *testing.T) {
		const size = 1 << 20
		p := newProfiler(t)
		path := newFile(t, size)
		memory := mapFile(t, path, size, unix.PROT_READ, unix.MAP_SHARED)
		refuseIoctl(t, uffd.IoctlRegister, unix.ENOMEM)
		before := mappedBytes(t)
		for what, f := range map[string]func() (*Region, error){
			"arena":    func() (*Region, error) { return p.NewArena("arena", size) },
			"map":      func() (*Region, error) { return p.MapFile(path) },
			"attached": func() (*Region, error) { return p.AttachFile(path) },
		} {
			for range 10 {
				if _, err := f(); !errors.Is(err, unix.ENOMEM) {
					t.Errorf("%s: %v, want ENOMEM", what, err)
				}
			}
		}
		if more := int(mappedBytes(t) - before); more > 10*size {
			t.Errorf("30 failures left %d bytes mapped", more)
		}
		if i := different(memory, contents(size)); i >= 0 {
			t.Errorf("byte %d is %d", i, memory[i])
		}
		if n := p.Snapshot().Stats.Faults; n != 0 {
			t.Errorf("%d faults", n)
		}
	})
}
