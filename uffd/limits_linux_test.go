package uffd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// A fill of a process whose control group is full ends a process of the group, as a touch would; where the kernel may end
// none it is ENOMEM, and can be tried again.
func TestFillInAFullControlGroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a control group")
	}
	if !inChild(t) {
		return
	}
	runtime.LockOSThread() // and never unlocked: its mounts are its own
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	const limit = 8 << 20
	file, unlimited := joinMemoryGroup(t, limit)
	fd := openTest(t)
	mem := anonymous(t, 4*limit/PageSize())
	register(t, fd, mem, ModeMissing)
	source := pattern(3, 1)
	arg := copyArg{Src: uint64(escapedAddr(source)), Len: uint64(PageSize())}
	filled, errno := 0, unix.Errno(0)
	for ; filled < len(mem)/PageSize(); filled++ {
		arg.Dst, arg.Copy = uint64(RangeOf(mem).Start)+uint64(filled*PageSize()), 0
		if errno = fd.rawCopy(&arg); errno != 0 {
			break
		}
	}
	// Nothing may be touched for the first time before the limit is gone: that would wait in the kernel.
	_, err := unix.Write(file, unlimited)
	noErr(t, "raise the limit", err)
	keepAlive(source)
	t.Logf("page %d: %v", filled, errno)
	if errno != unix.ENOMEM || arg.Copy != -int64(unix.ENOMEM) || filled == 0 || !errors.Is(NewError("UFFDIO_COPY", RangeOf(mem), errno), ErrNoMemory) {
		t.Errorf("%d pages, then %v, field %d: want ENOMEM", filled, errno, arg.Copy)
	}
	if _, err := fd.Copy(pageRange(mem, filled).Start, source, 0); err != nil {
		t.Errorf("tried again with room: %v", err)
	}
	checkPages(t, mem[filled*PageSize():][:PageSize()], 3)
}

// joinMemoryGroup takes this process into a control group that may have so many bytes, and answers with the open file of
// the limit and what to write to it to have none.
func joinMemoryGroup(t *testing.T, limit int) (int, []byte) {
	t.Helper()
	root, file, unlimited := "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "-1"
	if _, err := os.Stat(filepath.Join(root, file)); err != nil {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			t.Skipf("user namespace of its own is not permitted: %v", err)
		}
		root, file, unlimited = t.TempDir(), "memory.max", "max"
		noErr(t, "private mounts", unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""))
		noErr(t, "mount", unix.Mount("uffd-test", root, "cgroup2", 0, ""))
		t.Cleanup(func() { noErr(t, "umount", unix.Unmount(root, unix.MNT_DETACH)) })
		if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
			t.Skipf("not supported here: control groups do not count memory: %v", err)
		}
	} else {
		text, err := os.ReadFile("/proc/self/cgroup")
		noErr(t, "cgroup", err)
		for line := range strings.Lines(string(text)) {
			if _, own, ok := strings.Cut(strings.TrimSpace(line), ":memory:"); ok {
				root = filepath.Join(root, own)
			}
		}
	}
	dir := filepath.Join(root, fmt.Sprintf("uffd-test-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("not supported here: a control group: %v", err)
	}
	pid := []byte(fmt.Sprint(os.Getpid()))
	t.Cleanup(func() {
		noErr(t, "leave", os.WriteFile(filepath.Join(root, "cgroup.procs"), pid, 0))
		noErr(t, "rmdir", unix.Rmdir(dir))
	})
	adjusted := os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0)
	if disabled := os.WriteFile(filepath.Join(dir, "memory.oom_control"), []byte("1"), 0); adjusted != nil && disabled != nil {
		t.Skipf("not supported here: a process that the kernel does not end when its memory is full: %v, %v", adjusted, disabled)
	}
	fd, err := unix.Open(filepath.Join(dir, file), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	noErr(t, "open", err)
	_, err = unix.Write(fd, []byte(fmt.Sprint(limit)))
	noErr(t, "limit", err)
	noErr(t, "join", os.WriteFile(filepath.Join(dir, "cgroup.procs"), pid, 0))
	return fd, []byte(unlimited)
}

// MOVE takes what is swapped out along, without reading it.
func TestMoveOfSwappedMemory(t *testing.T) {
	if err := HaveIoctl(IoctlMove); err != nil {
		t.Skip(err)
	}
	if parentOf(t) {
		testproc.NeedSwap(t)
	}
	if !inChild(t) {
		return
	}
	const pages = 16
	src, dst := anonymous(t, pages), anonymous(t, pages)
	for n := range pages {
		copy(page(src, n), bytes.Repeat([]byte{byte(n + 1)}, PageSize()))
	}
	fd := openTest(t)
	register(t, fd, dst, ModeMissing)
	swapped := 0
	for range 100 {
		noErr(t, "madvise", unix.Madvise(src, unix.MADV_PAGEOUT))
		swapped = 0
		for n := range pages {
			if entry(t, pageRange(src, n).Start).Swapped() {
				swapped++
			}
		}
		if swapped == pages {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if swapped == 0 {
		t.Fatal("nothing was swapped out")
	}
	if n, err := fd.Move(RangeOf(dst).Start, RangeOf(src), 0); n != len(src) || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	moved := 0
	for n := range pages {
		if entry(t, pageRange(dst, n).Start).Swapped() {
			moved++
		}
		if e := entry(t, pageRange(src, n).Start); e.Present() || e.Swapped() {
			t.Errorf("page %d of the source is there still", n)
		}
	}
	t.Logf("%d of %d pages were swapped out before, %d after", swapped, pages, moved)
	for n := range pages {
		checkPages(t, page(dst, n), byte(n+1))
	}
}

// The pages of another process are scanned, and protected in the same step, as one's own.
func TestScanOfAnotherProcess(t *testing.T) {
	needs(t, FeatureWPAsync|FeatureEventFork)
	if !inChild(t) {
		return
	}
	if err := mayFollowForks(); err != nil {
		t.Skip(err)
	}
	fd := openTest(t, WithFeatures(FeatureWPAsync|FeatureEventFork), WithNonblock())
	a := newArea(t, MemoryAnonymous, 4)
	for n := range a.pages() {
		a.page(n)[0] = 1
	}
	register(t, fd, a.mem, ModeWP)
	noErr(t, "protect", fd.Protect(a.rng()))
	forks := make(chan forked, 1)
	go func() {
		forks <- forkChild(t, stepStore(a.rng().Start+Addr(PageSize()), 2), stepStore(a.rng().Start+Addr(2*PageSize()), 2), stepWait())
	}()
	msg := readEvent(t, fd, EventFork)
	kept, err := fd.Forked(&msg)
	noErr(t, "forked", err)
	defer kept.Close()
	process := <-forks
	p, err := OpenPagemap(process.pid)
	noErr(t, "pagemap", err)
	defer p.Close()
	other, own := scanner{t, a, p}, scanner{t, a, openPagemap(t)}
	w := PageIsWritten
	q := ScanQuery{All: w, Return: w}
	count := func() (n int) {
		noErr(t, "scan", p.Scan(a.rng(), q, make([]PageRegion, 4), func(regions []PageRegion) bool {
			for _, r := range regions {
				n += int(r.Len()) / PageSize()
			}
			return true
		}))
		return n
	}
	for range 10_000 {
		if count() == 2 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	q.Flags = ScanWPMatching | ScanCheckWPAsync
	other.want("the child's", 0, 4, q, span{1, 3, w})
	other.want("the child's again", 0, 4, q)
	own.want("the parent's", 0, 4, q)
	process.end(t)
}
