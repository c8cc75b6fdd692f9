package uffdtest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

const vmEnv = "UFFD_TEST_VM"

// IsVM reports whether this process is the virtual machine of the calling test, see ServeVM.
func IsVM() bool { return os.Getenv(vmEnv) != "" }

// VM stands for a virtual machine that is restored: a child process whose memory has holes, and whose faults another
// process answers. It touches, discards, moves, unmaps and forks, and looks at what it reads. Page n has to hold n+1 in
// its first and last word, see Snapshot. Its Go threads wait in faults, so it has more of them than wait.
type VM struct {
	Mem   []byte
	Forks bool // the descriptor follows forks

	t    *testing.T
	size int // of a page
}

// Mapping is a range of the memory as Firecracker's monitor describes it to its handler of page faults, in the message
// that has the descriptor.
type Mapping struct {
	Base   uint64 `json:"base_host_virt_addr"`
	Size   uint64 `json:"size"`
	Offset uint64 `json:"offset"` // in the snapshot
	Pid    int    `json:"pid"`    // of the VM; Firecracker's handlers ask the socket for it
}

// Snapshot is what the memory of a VM of so many pages holds.
func Snapshot(pages int) []byte {
	contents := make([]byte, pages*os.Getpagesize())
	for n := range pages {
		p := contents[n*os.Getpagesize() : (n+1)*os.Getpagesize()]
		binary.LittleEndian.PutUint64(p, uint64(n+1))
		binary.LittleEndian.PutUint64(p[len(p)-8:], uint64(n+1))
	}
	return contents
}

// StartVM maps memory, arms it and hands it over.
func StartVM(t *testing.T, pages int) *VM {
	t.Helper()
	return startVM(t, pages, uffd.FeatureEventFork)
}

// StartVMWithoutForks is StartVM with a descriptor that does not follow forks.
func StartVMWithoutForks(t *testing.T, pages int) *VM {
	t.Helper()
	return startVM(t, pages, 0)
}

func startVM(t *testing.T, pages int, optional uffd.Features) *VM {
	t.Helper()
	runtime.GOMAXPROCS(16)
	file := os.NewFile(3, "socket")
	conn, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := uffd.Open(uffd.WithFeatures(uffd.FeatureEventRemap|uffd.FeatureEventRemove|uffd.FeatureEventUnmap),
		uffd.WithOptionalFeatures(optional))
	if err != nil {
		t.Fatal(err)
	}
	v := &VM{t: t, size: os.Getpagesize(), Forks: fd.Enabled().Has(uffd.FeatureEventFork)}
	v.Mem = v.reserve(pages, unix.PROT_READ|unix.PROT_WRITE)
	_ = unix.Madvise(v.Mem, unix.MADV_NOHUGEPAGE) // where there are none, they are not advised against
	r := uffd.RangeOf(v.Mem)
	if _, err := fd.Register(r, uffd.ModeMissing); err != nil {
		t.Fatal(err)
	}
	hello, err := json.Marshal([]Mapping{{Base: uint64(r.Start), Size: uint64(r.Len()), Pid: os.Getpid()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := fd.Send(conn.(*net.UnixConn), hello); err != nil {
		t.Fatal(err)
	}
	if err := fd.Close(); err != nil {
		t.Fatal(err)
	}
	return v
}

// reserve maps memory. It is never unmapped by Go's own mapper, since the child moves and unmaps parts of it.
func (v *VM) reserve(pages, prot int) []byte {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(pages*v.size), prot, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		v.t.Fatal(err)
	}
	return unsafe.Slice((*byte)(p), pages*v.size)
}

// Pages is a part of the memory.
func (v *VM) Pages(from, to int) []byte { return v.Mem[from*v.size : to*v.size] }

// Check reads page n of mem, which has to hold want.
func (v *VM) Check(when string, mem []byte, n int, want uint64) {
	p := mem[n*v.size : (n+1)*v.size]
	first, last := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[v.size-8:])
	if first != want || last != want {
		v.t.Errorf("%s: page %d holds %d and %d, want %d", when, n, first, last, want)
	}
}

// Discard is madvise(MADV_DONTNEED).
func (v *VM) Discard(mem []byte) {
	if err := unix.Madvise(mem, unix.MADV_DONTNEED); err != nil {
		v.t.Errorf("madvise: %v", err)
	}
}

// Move moves memory to a place of its own, and answers where it is.
func (v *VM) Move(mem []byte) []byte {
	to := v.reserve(len(mem)/v.size, unix.PROT_NONE)
	if _, err := unix.MremapPtr(unsafe.Pointer(&mem[0]), uintptr(len(mem)), unsafe.Pointer(&to[0]), uintptr(len(mem)), unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED); err != nil {
		v.t.Fatalf("mremap: %v", err)
	}
	return to
}

// Expected is what a forked child has to read.
type Expected struct {
	at   *uint64
	want uint64
}

// Fork makes a child by fork(2), with a copy of the memory and one thread, which discards a page and reads others.
func (v *VM) Fork(discard []byte, read ...Expected) {
	v.t.Helper()
	if !v.Forks {
		return
	}
	pid, errno := cloneProcess(uintptr(unsafe.Pointer(&discard[0])), uintptr(len(discard)), read)
	if errno != 0 {
		v.t.Errorf("clone: %v", errno)
		return
	}
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &status, 0, nil); err == nil {
			break
		} else if err != unix.EINTR {
			v.t.Error(err)
			return
		}
	}
	if !status.Exited() || status.ExitStatus() != 0 {
		v.t.Errorf("the forked child: exit %d, signal %v: 1 is its discard, 2 and up what it read", status.ExitStatus(), status.Signal())
	}
}

// Expect is that page n of mem begins with want.
func (v *VM) Expect(mem []byte, n int, want uint64) Expected {
	return Expected{(*uint64)(unsafe.Pointer(&mem[n*v.size])), want}
}

// cloneProcess is fork(2). Go has no such thing: in the child a stack check may want to give the processor away, and no
// thread is left to take it. So it makes raw calls, and no check.
//
//go:norace
//go:nosplit
func cloneProcess(discard, length uintptr, read []Expected) (int, unix.Errno) {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return int(pid), errno
	}
	status := uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_MADVISE, discard, length, unix.MADV_DONTNEED); errno != 0 {
		status = 1
	}
	for i := range read {
		if *read[i].at != read[i].want && status == 0 {
			status = uintptr(2 + i)
		}
	}
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, status, 0, 0)
	}
}

// ServeVM runs the calling test in a child, which is to be the VM, and hands the socket that it sends its descriptor to
// to handle, which has to end soon after the child has.
func ServeVM(t *testing.T, handle func(socket *os.File)) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	near, far := os.NewFile(uintptr(pair[0]), "near"), os.NewFile(uintptr(pair[1]), "far")
	defer near.Close()
	var done sync.WaitGroup
	done.Go(func() { handle(near) })
	defer done.Wait()
	defer far.Close() // a child that never sent anything
	testproc.Run(t, t.Name(), []string{vmEnv + "=1"}, time.Minute, func(_ *testing.T, c *exec.Cmd) { c.ExtraFiles = []*os.File{far} })
}

// NeedEvents skips where the kernel refuses what a VM asks for.
func NeedEvents(t *testing.T) {
	t.Helper()
	err := uffd.HaveFeatures(uffd.FeatureEventRemap | uffd.FeatureEventRemove | uffd.FeatureEventUnmap)
	if errors.Is(err, uffd.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TouchAll reads all pages, from several threads.
func (v *VM) TouchAll(when string, mem []byte, want func(n int) uint64) {
	var touchers sync.WaitGroup
	pages := len(mem) / v.size
	for range 4 {
		order := rand.Perm(pages)
		touchers.Go(func() {
			for _, n := range order {
				v.Check(when, mem, n, want(n))
			}
		})
	}
	touchers.Wait()
}
