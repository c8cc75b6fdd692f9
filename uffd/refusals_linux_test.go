package uffd

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// The tests of this file hold errors of docs/userfaultfd.md that need a resource to run out, or memory of a kind that
// no other test maps.

// A tmpfs without room is ENOMEM, not ENOSPC: shmem_mfill_atomic_pte in mm/shmem.c takes any refusal to count the
// block for a lack of memory. The page is not there, and its toucher gets SIGBUS once the range is given back.
func TestFullTmpfs(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	if !inChild(t) {
		return
	}
	runtime.LockOSThread() // and never unlocked: its mounts are its own, so the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Skipf("user namespace of its own is not permitted: %v", err)
	}
	dir := t.TempDir()
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("uffd-test", dir, "tmpfs", 0, "nr_blocks=2"); err != nil {
		t.Fatal(err)
	}
	defer func() { noErr(t, "umount", unix.Unmount(dir, unix.MNT_DETACH)) }()
	file, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(int64(4 * PageSize())); err != nil {
		t.Fatal(err)
	}
	mem, err := unix.Mmap(int(file.Fd()), 0, 4*PageSize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { noErr(t, "munmap", unix.Munmap(mem)) }()
	fd := openTest(t)
	register(t, fd, mem, ModeMissing)
	n, err := fd.Copy(RangeOf(mem).Start, pattern(7, 4), 0)
	if n != 2*PageSize() || !isErr(err, ErrNoMemory, unix.ENOMEM) {
		t.Errorf("4 pages into a file system of 2: %d bytes, %v; want 2 pages, ErrNoMemory", n, err)
	}
	if n, err := fd.Zeropage(pageRange(mem, 2), 0); n != 0 || !errors.Is(err, ErrNoMemory) {
		t.Errorf("Zeropage: %d bytes, %v", n, err)
	}
	checkPages(t, mem, 7, 7)
	if err := fd.Unregister(RangeOf(mem)); err != nil {
		t.Fatal(err)
	}
	var b byte
	if comesThrough(func() { b = mem[2*PageSize()] }) {
		t.Errorf("a page of a full file system can be touched: %d", b)
	}
}

// Register and Unregister split mappings, and a process has a limit of those: vm.max_map_count.
func TestTooManyMappings(t *testing.T) {
	if !inChild(t) {
		return
	}
	const most = 1 << 17 // with the default of 65530 there is room
	at, err := unix.MmapPtr(-1, 0, nil, uintptr(2*most*PageSize()), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	mem := unsafe.Slice((*byte)(at), 2*most*PageSize())
	source := pattern(3, 1)
	fd := openTest(t)
	fill := copyArg{Dst: uint64(pageRange(mem, 1).Start), Src: uint64(escapedAddr(source)), Len: uint64(PageSize())}
	last, errno := 0, unix.Errno(0)
	for ; last < most && errno == 0; last++ {
		errno = fd.rawRegister(&registerArg{Range: toArg(pageRange(mem, 2*last+1)), Mode: ModeMissing})
	}
	// What was registered before is as it was, and takes fills. Nothing may allocate here: Go cannot map memory now.
	filled := fd.rawCopy(&fill)
	// Whole mappings are given back without a split.
	given := fd.rawUnregister(&rangeArg{Start: uint64(RangeOf(mem).Start), Len: uint64(len(mem))})
	keepAlive(source)
	if errno == 0 {
		t.Skipf("vm.max_map_count is more than %d", 2*most)
	}
	if errno != unix.ENOMEM || !errors.Is(NewError("UFFDIO_REGISTER", RangeOf(mem), errno), ErrNoMemory) {
		t.Errorf("Register of page %d: %v, want ENOMEM", 2*last+1, errno)
	}
	if filled != 0 || mem[PageSize()] != 3 {
		t.Errorf("a fill at the limit: %v", filled)
	}
	if given != 0 {
		t.Errorf("Unregister of all: %v", given)
	}
}

// System V memory is shared memory, and refused: its mappings have operations of their own (shm_vm_ops in ipc/shm.c), by
// which the kernel does not know them as shared memory. Huge pages it knew by a flag, and took; 7.3 refuses them, too.
func TestSystemVMemory(t *testing.T) {
	if parentOf(t) {
		testproc.HugePages(t, hugePagesWanted, false)
	}
	if !inChild(t) {
		return
	}
	for _, c := range []struct {
		name  string
		flags int
		modes []RegisterMode
		taken bool // by older kernels
	}{
		{"small", 0, []RegisterMode{ModeMissing, ModeWP, ModeMinor}, false},
		{"huge", unix.MAP_HUGETLB >> 7, []RegisterMode{ModeMissing}, true}, // SHM_HUGETLB, sys/shm.h
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := systemV(t, c.flags)
			for _, mode := range c.modes {
				_, err := openTest(t).Register(RangeOf(mem), mode)
				if !isErr(err, ErrInvalid, unix.EINVAL) && (err != nil || !c.taken) {
					t.Errorf("%v: %v", mode, err)
				}
				t.Logf("%v: %v", mode, err)
			}
		})
	}
	if HaveFeatures(FeatureWPAsync) == nil { // takes any memory
		register(t, openTest(t, WithFeatures(FeatureWPAsync)), systemV(t, 0), ModeWP)
	}
}

func systemV(t *testing.T, flags int) []byte {
	t.Helper()
	size := PageSize()
	if flags != 0 {
		var err error
		if size, err = hugePageSize(); err != nil {
			t.Skip(err)
		}
	}
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, size, unix.IPC_CREAT|flags|0o600)
	switch {
	case errors.Is(err, unix.ENOSYS):
		t.Skipf("no System V memory here: %v", err)
	case flags != 0 && errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EPERM):
		t.Skipf("1 huge pages of %d bytes are needed: %v", size, err)
	case err != nil:
		t.Fatal(err)
	}
	mem, err := unix.SysvShmAttach(id, 0, 0)
	if _, e := unix.SysvShmCtl(id, unix.IPC_RMID, nil); err == nil {
		err = e
	}
	if err != nil {
		t.Fatal(err)
	}
	return mem // for as long as the process is there
}

// A page of the file whose memory has an error is EIO, which has no sentinel: it is what it is. The error takes the
// machine a page of its memory until it is started again, so the test is one of the long ones.
func TestContinueOfBrokenMemory(t *testing.T) {
	testproc.NeedLong(t, "takes a page of memory away from the machine")
	if os.Getuid() != 0 {
		t.Skip("only root can break a page of memory")
	}
	if !inChild(t) {
		return
	}
	needsMode(t, MemoryMemfd, ModeMinor)
	mem, alias := aliased(t, 2)
	alias[0], page(alias, 1)[0] = 1, 2
	if err := unix.Madvise(page(alias, 0), unix.MADV_HWPOISON); err != nil {
		t.Skipf("the kernel breaks no memory (CONFIG_MEMORY_FAILURE): %v", err)
	}
	fd := openTest(t)
	register(t, fd, mem, ModeMinor)
	_, err := fd.Continue(pageRange(mem, 0), 0)
	refused, ok := errors.AsType[*Error](err)
	if !ok || refused.Kind != nil || !errors.Is(err, unix.EIO) {
		t.Errorf("Continue of a broken page: %v, want EIO", err)
	}
	if n, err := fd.Continue(pageRange(mem, 1), 0); n != PageSize() || err != nil {
		t.Errorf("of its neighbour: %d, %v", n, err)
	}
}

// An answer that cannot be written is EFAULT, and the descriptor stays as new: the kernel writes before it takes the
// features. So is a refusal's, which is zeros.
func TestHandshakeAnswerNotWritable(t *testing.T) {
	raw := rawDescriptor(t, openTest(t).Path())
	mem := anonymous(t, 1)
	arg := (*apiArg)(unsafe.Pointer(&mem[0]))
	for _, api := range []uint64{apiVersion, 0xab} {
		noErr(t, "mprotect", unix.Mprotect(mem, unix.PROT_READ|unix.PROT_WRITE))
		*arg = apiArg{API: api}
		noErr(t, "mprotect", unix.Mprotect(mem, unix.PROT_READ))
		if errno := rawAPI(raw, arg); errno != unix.EFAULT {
			t.Errorf("version %#x: %v, want EFAULT", api, errno)
		}
	}
	right := apiArg{API: apiVersion}
	if errno := rawAPI(raw, &right); errno != 0 {
		t.Errorf("then a right one: %v", errno)
	}
}

// Who may not have EVENT_FORK is told of a wrong version first. An unknown feature beside it is EINVAL in 6.4, and EPERM in
// 6.12 (userfaultfd_api).
func TestOrderOfHandshakeErrnos(t *testing.T) {
	if !asNobody(t) {
		return
	}
	raw := rawDescriptor(t, openTest(t).Path())
	fork := uint64(FeatureEventFork)
	for _, c := range []struct {
		arg  apiArg
		want []unix.Errno
	}{
		{apiArg{API: 0xab, Features: fork}, []unix.Errno{unix.EINVAL}},
		{apiArg{API: apiVersion, Features: fork}, []unix.Errno{unix.EPERM}},
		{apiArg{API: apiVersion, Features: fork | 1<<63}, []unix.Errno{unix.EPERM, unix.EINVAL}},
	} {
		if got := rawAPI(raw, &c.arg); !slices.Contains(c.want, got) {
			t.Errorf("%+v: %v, want %v", c.arg, got, c.want)
		}
	}
}

// userfaultfd(2) takes O_CLOEXEC, O_NONBLOCK and UFFD_USER_MODE_ONLY, the device the same.
func TestUnknownFlagIsEINVAL(t *testing.T) {
	path := openTest(t).Path()
	const unknown = unix.O_APPEND
	errno := unix.Errno(0)
	if path == PathDevice {
		dev, err := unix.Open(DevicePath, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(dev)
		errno = rawIoctl(dev, IoctlNew, unknown)
	} else {
		_, _, errno = unix.Syscall(unix.SYS_USERFAULTFD, unknown|userModeOnly, 0, 0)
	}
	if errno != unix.EINVAL {
		t.Errorf("%v: %v", path, errno)
	}
}

// WAKE looks at its numbers only: what is not registered, or not mapped, has nobody to wake, and is no error.
func TestWakeOfWhatIsNotRegistered(t *testing.T) {
	fd := openTest(t)
	for name, r := range map[string]Range{"not registered": RangeOf(anonymous(t, 1)), "not mapped": anonymousHole(t)} {
		if err := fd.Wake(r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, r := range map[string]Range{"empty": {0x10000, 0x10000}, "not aligned": {0x10001, 0x20001}, "beyond the top": {1 << 62, 1<<62 + 0x10000}} {
		if err := fd.Wake(r); !isErr(err, ErrInvalid, unix.EINVAL) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Another descriptor's memory: newer kernels refuse to unregister it (seen on 6.18), older ones take it from its owner
// (seen on 6.12). Nobody should try.
func TestUnregisterOfAnothers(t *testing.T) {
	owner, other := openTest(t), openTest(t)
	mem := anonymous(t, 1)
	register(t, owner, mem, ModeMissing)
	err := other.Unregister(RangeOf(mem))
	_, fill := owner.Zeropage(RangeOf(mem), 0)
	switch {
	case err == nil && errors.Is(fill, ErrNotRegistered): // taken away
	case errors.Is(err, ErrInvalid) && fill == nil: // refused
	default:
		t.Errorf("Unregister of another's memory: %v, its owner's fill then: %v", err, fill)
	}
	t.Logf("Unregister of another's memory: %v", err)
}

// A registration again of the same descriptor sets the modes that are given, unless the mapping has all of them already;
// or, since a release between 6.18 and 7.3, other modes are EBUSY and it stays as it was.
func TestRegisterSetsModes(t *testing.T) {
	needsMode(t, MemoryAnonymous, ModeWP)
	for _, c := range []struct {
		name      string
		before    RegisterMode
		protected error // what Protect says where the new modes were taken
	}{
		{"fewer", ModeMissing | ModeWP, nil},
		{"another", ModeWP, ErrNotRegistered},
		{"the same", ModeMissing, ErrNotRegistered},
	} {
		t.Run(c.name, func(t *testing.T) {
			fd := openTest(t)
			mem := anonymous(t, 1)
			mem[0] = 1
			register(t, fd, mem, c.before)
			_, err := fd.Register(RangeOf(mem), ModeMissing)
			t.Logf("%v, then MISSING: %v", c.before, err)
			want := c.protected
			if err != nil {
				if c.before == ModeMissing || !isErr(err, ErrBusy, unix.EBUSY) {
					t.Fatal(err)
				}
				want = nil // refused: it is still registered with WP
			}
			if err := fd.Protect(RangeOf(mem)); !errors.Is(err, want) {
				t.Errorf("Protect: %v, want %v", err, want)
			}
			if want == nil {
				noErr(t, "unprotect", fd.Unprotect(RangeOf(mem)))
			}
		})
	}
}

// WRITEPROTECT knows two modes that exclude each other: nobody waits for a protection to begin.
func TestProtectWithDontwakeIsEINVAL(t *testing.T) {
	needsMode(t, MemoryAnonymous, ModeWP)
	fd := openTest(t)
	mem := anonymous(t, 1)
	mem[0] = 1
	register(t, fd, mem, ModeWP)
	for mode, want := range map[WriteProtectMode]unix.Errno{
		WriteProtectModeWP | WriteProtectModeDontwake: unix.EINVAL,
		WriteProtectModeDontwake:                      0,
		WriteProtectModeWP:                            0,
		1 << 10:                                       unix.EINVAL,
	} {
		if errno := fd.rawWriteProtect(&writeProtectArg{Range: toArg(RangeOf(mem)), Mode: mode}); errno != want {
			t.Errorf("mode %#x: %v, want %v", mode, errno, want)
		}
	}
}

// Huge pages are protected as a whole.
func TestProtectOfAPartOfAHugePage(t *testing.T) {
	if parentOf(t) {
		testproc.HugePages(t, hugePagesWanted, false)
	}
	if !inChild(t) {
		return
	}
	needsMode(t, MemoryHugetlb, ModeWP)
	a := newArea(t, MemoryHugetlb, 1)
	fd := openTest(t)
	register(t, fd, a.mem, ModeWP)
	part := Range{a.rng().Start, a.rng().Start + Addr(PageSize())}
	if err := fd.Protect(part); !isErr(err, ErrInvalid, unix.EINVAL) {
		t.Errorf("%v", err)
	}
	noErr(t, "protect", fd.Protect(a.rng()))
}

// A protection of several mappings stops at the first that is not registered for it, and what came before stays
// protected.
func TestProtectStopsInTheMiddle(t *testing.T) {
	needsMode(t, MemoryAnonymous, ModeWP)
	fd := openTest(t)
	mem := anonymous(t, 3)
	for n := range 3 {
		page(mem, n)[0] = 1
	}
	register(t, fd, page(mem, 0), ModeWP)
	register(t, fd, page(mem, 2), ModeWP)
	if err := fd.Protect(RangeOf(mem)); !isErr(err, ErrNotRegistered, unix.ENOENT) {
		t.Errorf("Protect over a mapping that is not registered: %v", err)
	}
	for n, want := range []bool{true, false, false} {
		if n == 0 && HaveFeatures(FeatureWPUnpopulated) != nil {
			continue // until Linux 6.3 a range was of one mapping, or refused
		}
		if got := entry(t, pageRange(mem, n).Start).WriteProtected(); got != want {
			t.Errorf("page %d: protected %v, want %v", n, got, want)
		}
	}
}

// A page that was protected before it was there has a marker in its place. COPY takes the marker's place, ZEROPAGE,
// MOVE and POISON answer EEXIST, though there is no page.
func TestMarkersAreInTheWayOfFills(t *testing.T) {
	needs(t, FeatureWPUnpopulated|FeaturePoison)
	fd := openTest(t, WithFeatures(FeatureWPUnpopulated))
	mem, source := anonymous(t, 4), anonymous(t, 1)
	source[0] = 1
	register(t, fd, mem, ModeMissing|ModeWP)
	if err := fd.Protect(RangeOf(mem)); err != nil {
		t.Fatal(err)
	}
	zeros := zeropageArg{Range: toArg(pageRange(mem, 0))}
	if errno := fd.rawZeropage(&zeros); errno != unix.EEXIST {
		t.Errorf("ZEROPAGE: %v, want EEXIST", errno)
	}
	if n, err := fd.Poison(pageRange(mem, 1), 0); n != 0 || !errors.Is(err, ErrExist) {
		t.Errorf("Poison: %d, %v, want ErrExist", n, err)
	}
	if HaveIoctl(IoctlMove) == nil {
		move := moveArg{Dst: uint64(pageRange(mem, 2).Start), Src: uint64(RangeOf(source).Start), Len: uint64(PageSize())}
		if errno := fd.rawMove(&move); errno != unix.EEXIST {
			t.Errorf("MOVE: %v, want EEXIST", errno)
		}
	}
	if n, err := fd.Copy(pageRange(mem, 3).Start, pattern(4, 1), 0); n != PageSize() || err != nil {
		t.Errorf("Copy: %d, %v", n, err)
	}
	for n := range 4 {
		if got := entry(t, pageRange(mem, n).Start).Present(); got != (n == 3) {
			t.Errorf("page %d: present %v", n, got)
		}
	}
	// A count of 0 without an error is what tells.
	if n, err := fd.Zeropage(pageRange(mem, 0), 0); n != 0 || err != nil {
		t.Errorf("Zeropage: %d, %v", n, err)
	}
}

// What MOVE wants of its two sides, each refusal by itself.
func TestMoveRefusals(t *testing.T) {
	if err := HaveIoctl(IoctlMove); err != nil {
		t.Skip(err)
	}
	if !inChild(t) {
		return
	}
	fd := openTest(t)
	source := func() []byte { mem := anonymous(t, 2); mem[0], page(mem, 1)[0] = 1, 2; return mem }
	target := func() []byte { mem := anonymous(t, 2); register(t, fd, mem, ModeMissing); return mem }
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dst, src []byte)
		from    func(dst, src []byte) Range
		to      func(dst, src []byte) Addr
		errno   unix.Errno
	}{
		{name: "of a protection of its own", prepare: func(t *testing.T, _, src []byte) { noErr(t, "mprotect", unix.Mprotect(src, unix.PROT_READ)) }, errno: unix.EINVAL},
		{name: "locked on one side", prepare: func(t *testing.T, _, src []byte) { noErr(t, "mlock", unix.Mlock(src)) }, errno: unix.EINVAL},
		{name: "shared with a forked child", prepare: func(t *testing.T, _, _ []byte) {
			child := forkChild(t, stepWait())
			t.Cleanup(func() { child.end(t) })
		}, errno: unix.EBUSY},
		{name: "pinned", prepare: func(t *testing.T, _, src []byte) {
			if err := pin(t, src[:PageSize()]); err != nil {
				t.Skipf("no io_uring: %v", err)
			}
		}, errno: unix.EBUSY},
		{name: "onto itself", from: func(dst, _ []byte) Range { return pageRange(dst, 0) }, errno: unix.ENOENT},
		{name: "of a hole", prepare: func(t *testing.T, _, src []byte) { noErr(t, "madvise", unix.Madvise(src, unix.MADV_DONTNEED)) }, errno: unix.ENOENT},
		{name: "to memory that is not registered", to: func(_, src []byte) Addr { return pageRange(src, 1).Start }, errno: unix.EINVAL},
		{name: "to nothing", to: func(_, _ []byte) Addr { return anonymousHole(t).Start }, errno: unix.ENOENT},
		{name: "from nothing", from: func(_, _ []byte) Range { return anonymousHole(t) }, errno: unix.ENOENT},
		{name: "of what is not aligned", from: func(_, src []byte) Range {
			return Range{RangeOf(src).Start + 1, RangeOf(src).Start + 1 + Addr(PageSize())}
		}, errno: unix.EINVAL},
		{name: "onto a page", prepare: func(t *testing.T, dst, _ []byte) {
			_, err := fd.Copy(RangeOf(dst).Start, pattern(9, 1), 0)
			noErr(t, "copy", err)
		}, errno: unix.EEXIST},
		{name: "of the page of zeros", prepare: func(t *testing.T, _, src []byte) {
			noErr(t, "madvise", unix.Madvise(src, unix.MADV_DONTNEED))
			if b := <-load(src); b != 0 {
				t.Errorf("a discarded page begins with %d", b)
			}
		}, errno: 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst, src := target(), source()
			if c.prepare != nil {
				c.prepare(t, dst, src)
			}
			from, to := pageRange(src, 0), RangeOf(dst).Start
			if c.from != nil {
				from = c.from(dst, src)
			}
			if c.to != nil {
				to = c.to(dst, src)
			}
			errno := fd.rawMove(&moveArg{Dst: uint64(to), Src: uint64(from.Start), Len: uint64(PageSize())})
			t.Logf("%v", errno)
			if errno != c.errno {
				t.Errorf("%v, want %v", errno, c.errno)
			}
		})
	}
}
