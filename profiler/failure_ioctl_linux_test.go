//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// refuseIoctl makes one kind of ioctl fail with errno from now on, in every thread of the process.
func refuseIoctl(t *testing.T, request uffd.Ioctl, errno unix.Errno) {
	t.Helper()
	refuseCall(t, unix.SYS_IOCTL, uint32(request), errno)
}

// refuseCall makes a system call with this second argument fail with errno from now on, in every thread
// of the process.
func refuseCall(t *testing.T, call, second uint32, errno unix.Errno) {
	t.Helper()
	refuseWhere(t, call, 1, second, errno)
}

const anyArgument = 6 // there are five behind the first

// refuseWhere makes a system call fail with errno from now on, in every thread of the process, where the
// argument with a number, from 0, has a value.
func refuseWhere(t *testing.T, call, arg, value uint32, errno unix.Errno) {
	t.Helper()
	// struct seccomp_data, include/uapi/linux/seccomp.h: the call's number at 0, the low half of its
	// arguments at 16, 24 and so on.
	stmt := func(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }
	unless := func(k uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: skip, K: k}
	}
	allow, refuse := stmt(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ALLOW), stmt(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ERRNO|uint32(errno))
	filter := []unix.SockFilter{stmt(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0), unless(call, 3)}
	if arg == anyArgument {
		filter[1].Jf = 1
	} else {
		filter = append(filter, stmt(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 16+8*arg), unless(value, 1))
	}
	filter = append(filter, refuse, allow)
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
	aside(t)
	for _, c := range []struct {
		name    string
		request uffd.Ioctl
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

// refusals are system calls whose failure keeps a region from coming into being. An odd number of
// pages tells the parts of a placeholder from everything else that is moved.
const refusedPages = 37

var refusals = []struct {
	name   string
	call   uint32
	second uint32
	errno  unix.Errno
	arena  bool // concerns arenas too
}{
	{"register", unix.SYS_IOCTL, uint32(uffd.IoctlRegister), unix.ENOMEM, true},
	{"move the first part", unix.SYS_MREMAP, uint32(refusedPages / 2 * pageSize), unix.ENOMEM, false},
	{"move the second part", unix.SYS_MREMAP, uint32((refusedPages - refusedPages/2) * pageSize), unix.ENOMEM, false},
}

// Where memory cannot be armed the error says so, and the memory stays what it was. Nothing is left of
// the region: no memory, no entry, no name.
func TestRefusedRegistration(t *testing.T) {
	const rounds = 20
	for _, c := range refusals {
		inChild(t, "TestRefusedRegistration", c.name, nil, func(t *testing.T) {
			size := refusedPages * pageSize
			p := newProfiler(t)
			path, other := newFile(t, size), newFile(t, size)
			memory := mapFile(t, path, size, unix.PROT_READ, unix.MAP_SHARED)
			refuseCall(t, c.call, c.second, c.errno)
			for what, f := range map[string]func() (*Region, error){
				"arena":  func() (*Region, error) { return p.NewArena("arena", size) },
				"map":    func() (*Region, error) { return p.MapFile(other) },
				"attach": func() (*Region, error) { return p.AttachFile(path) },
			} {
				if what == "arena" && !c.arena || what != "arena" && testDelivery() == DeliverySignal { // which makes neither call for files
					continue
				}
				// The Go runtime maps memory of its own now and then; what a failure left would be more in
				// each round.
				even := 0
				for range rounds {
					before := mappedBytes(t)
					if _, err := f(); !errors.Is(err, c.errno) {
						t.Errorf("%s: %v, want %v", what, err, c.errno)
					}
					if mappedBytes(t) == before {
						even++
					}
				}
				if even < rounds/2 {
					t.Errorf("%s: %d of %d failures ended with as much memory mapped as they began", what, even, rounds)
				}
				if i := different(memory, contents(size)); i >= 0 {
					t.Errorf("%s: byte %d is %d", what, i, memory[i])
				}
			}
			if list := mappingsOf(t, &armed{memory: memory}); len(list) != 1 || list[0].path != path {
				t.Errorf("the file's mapping is %+v", list)
			}
			s := p.Snapshot()
			if s.Stats.Faults != 0 || len(s.Regions) != 0 {
				t.Errorf("%d faults, regions %+v", s.Stats.Faults, s.Regions)
			}
			if c.arena {
				return
			}
			// The next region takes the number of the one that failed.
			a := newArena(t, p, path, size)
			a.Bytes()[0] = 1
			if s := p.Snapshot(); a.ID() != 0 || len(s.Regions) != 1 || s.Regions[0].Faults != 1 || s.Regions[0].Kind != KindArena {
				t.Errorf("region %d of %+v", a.ID(), s.Regions)
			}
		})
	}
}

// Where a file cannot be armed again, what was armed stays served and what was touched stays touched,
// in each part of it.
func TestRefusedRearm(t *testing.T) {
	for _, c := range refusals {
		inChild(t, "TestRefusedRearm", c.name, []string{testproc.DeliveryEnv + "=" + DeliveryThread.String()}, func(t *testing.T) { // by signal neither call is made
			size := refusedPages * pageSize
			p := newProfiler(t)
			path := newFile(t, size)
			memory, want := mapFile(t, path, size, unix.PROT_READ, unix.MAP_SHARED), contents(size)
			r, err := p.AttachFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < refusedPages; i += 2 {
				wordAt(t, memory, i*pageSize)
			}
			before := p.Snapshot().Stats.Faults
			refuseCall(t, c.call, c.second, c.errno)
			if err := r.Rearm(); !errors.Is(err, c.errno) {
				t.Errorf("arm again: %v, want %v", err, c.errno)
			}
			for range 2 {
				if i := different(memory, want); i >= 0 {
					t.Errorf("byte %d is %d, want %d", i, memory[i], want[i])
				}
			}
			again := p.Snapshot().Stats.Faults - before
			fresh := uint64(refusedPages / 2)
			if c.name == "move the second part" { // the first is armed again
				fresh += (refusedPages/2 + 1) / 2
			}
			if again != fresh {
				t.Errorf("%d faults, want %d", again, fresh)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if i := different(memory, want); i >= 0 {
				t.Errorf("closed: byte %d is %d, want %d", i, memory[i], want[i])
			}
		})
	}
}
