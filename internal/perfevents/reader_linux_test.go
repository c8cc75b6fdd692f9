//go:build linux && (amd64 || arm64)

package perfevents

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/pagecache"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

var pageSize = os.Getpagesize()

// reader opens one, or skips with the kernel's reason.
func reader(t *testing.T, c Config) *Reader {
	t.Helper()
	r, err := Open(c)
	if errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// cold maps a new file of which no page is in memory.
func cold(t *testing.T, pages, advice int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	content := make([]byte, pages*pageSize)
	for i := range content {
		content[i] = byte(i / pageSize)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)); err != nil {
		t.Fatal(err)
	}
	b, err := unix.Mmap(int(f.Fd()), 0, len(content), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(b) })
	if err := unix.Madvise(b, advice); err != nil {
		t.Fatal(err)
	}
	if n := resident(t, b); len(n) > 0 {
		t.Skipf("%d pages of a file are still in memory after posix_fadvise(POSIX_FADV_DONTNEED): set TMPDIR to a directory on a disk", len(n))
	}
	return b
}

func resident(t *testing.T, b []byte) map[int]bool {
	t.Helper()
	list, err := pagecache.Mapping(b)
	if err != nil {
		t.Fatal(err)
	}
	have := make(map[int]bool)
	for i, m := range list {
		if m&1 != 0 {
			have[i] = true
		}
	}
	return have
}

func within(list []Fault, b []byte) (out []Fault) {
	lo := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	for _, f := range list {
		if f.Address >= lo && f.Address < lo+uintptr(len(b)) {
			out = append(out, f)
		}
	}
	return out
}

//go:noinline
func touch(b []byte) byte { return b[0] }

// TestColdFile: each touched page of a file without read-ahead comes once, as major, with its wait, thread and stack, and mincore
// has no other page.
func TestColdFile(t *testing.T) {
	const pages = 2048
	b := cold(t, pages, unix.MADV_RANDOM)
	r := reader(t, Config{Stacks: true})
	order := rand.New(rand.NewPCG(1, 2)).Perm(pages)[:pages/2]
	var wg sync.WaitGroup
	var mu sync.Mutex
	by := make(map[int]uint32) // who touched a page
	for k := range 4 {
		wg.Go(func() {
			runtime.LockOSThread() // one more thread, and it ends
			for i := k; i < len(order); i += 4 {
				if touch(b[order[i]*pageSize:]) != byte(order[i]) {
					t.Errorf("page %d has other contents", order[i])
				}
				mu.Lock()
				by[order[i]] = uint32(unix.Gettid())
				mu.Unlock()
			}
		})
	}
	var batch Batch
	var faults []Fault
	take := func() {
		more := r.Read()
		batch.Lost += more.Lost
		faults = append(faults, within(more.Faults, b)...)
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for {
		select {
		case <-done:
		default:
			r.Wait(5)
			take()
			continue
		}
		break
	}
	take()
	if !slices.IsSortedFunc(faults, func(a, b Fault) int { return cmp.Compare(a.End, b.End) }) {
		t.Error("faults are not in the order of time")
	}
	for end := time.Now().Add(10 * time.Second); len(faults) < len(order) && time.Now().Before(end); { // interrupted ones come late
		time.Sleep(10 * time.Millisecond)
		take()
	}
	have := resident(t, b)
	seen := make(map[int]int)
	lo := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	known, kinds := make(map[Known]int), make(map[Kind]int)
	for _, f := range faults {
		page := int(f.Address-lo) / pageSize
		seen[page]++
		known[f.Known]++
		kinds[f.Kind]++
		// A read that nobody interrupted is major.
		if f.Kind == Minor && f.Known == Measured {
			t.Logf("page %d was there after %v", page, time.Duration(f.End-f.Time))
		}
		if by[page] != f.Thread {
			t.Errorf("page %d: thread %d, touched by %d", page, f.Thread, by[page])
		}
		if batch.Lost > 0 && f.Known == Unmeasured && f.Kind != Interrupted {
			continue // its begin was lost, which has the stack
		}
		if len(f.Stack) < 2 || f.Stack[0] != f.PC || f.SP == 0 || f.G == 0 {
			t.Errorf("page %d: %+v", page, f)
			continue
		}
		if name := runtime.FuncForPC(f.PC).Name(); !strings.HasSuffix(name, "perfevents.touch") {
			t.Errorf("page %d: touched in %s", page, name)
		}
	}
	t.Logf("%d faults: major %d, minor %d, interrupted %d; waits measured %d, at most %d, unknown %d; lost %d; user only %v, %d descriptors, buffers of %d KiB", len(faults),
		kinds[Major], kinds[Minor], kinds[Interrupted], known[Measured], known[AtMost], known[Unmeasured], batch.Lost, r.UserOnly(), r.Descriptors(), r.Buffer()>>10)
	for page, n := range seen {
		if by[page] == 0 || n > 1 {
			t.Errorf("page %d comes %d times, touched by %d", page, n, by[page])
		}
	}
	if raceEnabled && batch.Lost > 0 {
		return // it said so
	}
	for _, page := range order {
		if seen[page] != 1 {
			t.Errorf("page %d comes %d times", page, seen[page])
		}
	}
	if len(seen) != len(order) || len(have) != len(order) || batch.Lost != 0 {
		t.Errorf("%d pages touched, %d seen, %d in memory, %d records lost", len(order), len(seen), len(have), batch.Lost)
	}
}

// TestOrdinaryUser: the same where the kernel allows the least, perf_event_paranoid 2 and no privileges.
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	testproc.Run(t, "TestColdFile", nil, time.Minute, testproc.AsUser(65534))
}

// TestThreads: those that exist when it is opened, and those that come later, are observed once each.
func TestThreads(t *testing.T) {
	const before, after = 6, 6
	mem, err := unix.Mmap(-1, 0, (before+after)*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	if err := unix.Madvise(mem, unix.MADV_NOHUGEPAGE); err != nil {
		t.Fatal(err)
	}
	var wg, there sync.WaitGroup
	held := make(chan struct{})
	threads := make([]uint32, before+after)
	worker := func(i int, wait <-chan struct{}) {
		wg.Go(func() {
			runtime.LockOSThread()
			threads[i] = uint32(unix.Gettid())
			if wait != nil {
				there.Done()
				<-wait
			}
			mem[i*pageSize] = 1
		})
	}
	for i := range before {
		there.Add(1)
		worker(i, held)
	}
	there.Wait()
	// Threads that come and go while it is opened, some of which inherit a part of the events.
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for range 2 {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				done := make(chan struct{})
				go func() { runtime.LockOSThread(); close(done) }()
				<-done
			}
		})
	}
	r := reader(t, Config{})
	close(stop)
	busy.Wait()
	r.Read() // a buffer that they have filled tells so with its next record
	close(held)
	for i := range after {
		worker(before+i, nil)
	}
	wg.Wait()
	b := r.Read()
	seen := make(map[uint32]int)
	for _, f := range within(b.Faults, mem) {
		if f.Known == Unmeasured {
			continue // a signal has interrupted it, and it comes again
		}
		seen[f.Thread]++
		if f.Kind != Minor {
			t.Errorf("%+v", f)
		}
	}
	for i, tid := range threads {
		if seen[tid] != 1 {
			t.Errorf("thread %d (number %d) comes %d times", tid, i, seen[tid])
		}
	}
}

// TestLost: what found no room is counted.
func TestLost(t *testing.T) {
	const pages = 8192
	mem, err := unix.Mmap(-1, 0, pages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	if err := unix.Madvise(mem, unix.MADV_NOHUGEPAGE); err != nil {
		t.Fatal(err)
	}
	r := reader(t, Config{Buffer: smallestBuffer})
	for i := range pages {
		mem[i*pageSize] = 1
	}
	b := r.Read()
	n := len(within(b.Faults, mem))
	// A fault is two records, and the next record in a buffer tells what was lost before it.
	mem[0]++
	for range 4 { // one on whatever processor
		if err := unix.Madvise(mem[:pageSize], unix.MADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
		mem[0] = 1
	}
	lost := b.Lost + r.Read().Lost
	t.Logf("%d faults seen of %d, %d records lost", n, pages, lost)
	if n == 0 || n >= pages || lost == 0 {
		t.Errorf("%d faults seen of %d, %d records lost", n, pages, lost)
	}
}

// TestMappings: a mapping that is made later is told, with its file.
func TestMappings(t *testing.T) {
	r := reader(t, Config{})
	b := cold(t, 4, unix.MADV_NORMAL)
	lo := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	list := r.Read().Mapped
	i := slices.IndexFunc(list, func(m Mapped) bool { return m.Lo == lo && m.Inode != 0 })
	if i < 0 {
		t.Fatalf("none at %#x in %+v", lo, list)
	}
	if m := list[i]; m.Hi != lo+uintptr(len(b)) || m.Offset != 0 || !m.Shared || m.Prot != unix.PROT_READ || filepath.Base(m.Path) != "file" || m.Time == 0 {
		t.Errorf("%+v", m)
	}
}

// TestInheritedEventNeedsProcessor is the kernel's rule that there is one event a processor for: perf_mmap in kernel/events/core.c.
func TestInheritedEventNeedsProcessor(t *testing.T) {
	r := &Reader{buffer: smallestBuffer}
	if err := r.choose(); errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	fd, err := r.open(minor, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if mem, err := unix.Mmap(fd, 0, pageSize+smallestBuffer, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != unix.EINVAL {
		t.Errorf("mmap: %v, %d bytes: want EINVAL", err, len(mem))
	}
}

// TestClosedBehindUs: a descriptor that the application closed, and that is something else now, stays open.
func TestClosedBehindUs(t *testing.T) {
	r, err := Open(Config{})
	if errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	fd := r.events[len(r.events)-1].fd
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := unix.Dup3(int(null.Fd()), fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if gone, all := r.Gone(); gone != 1 || all != len(r.events) {
		t.Errorf("%d of %d events are gone, want 1 of %d", gone, all, len(r.events))
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := unix.Close(fd); err != nil {
		t.Errorf("the descriptor of the application: %v", err)
	}
}

func TestParseList(t *testing.T) {
	for text, want := range map[string][]int{"0": {0}, "0-3": {0, 1, 2, 3}, "0,2-3,7": {0, 2, 3, 7}} {
		if got, err := parseList(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "a", "3-1", "-1", "0-99999999"} {
		if got, err := parseList(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestIdleThreadIsInNoFault: a begin of a thread that sleeps or has ended is one that was interrupted, though the thread makes no other fault;
// one of a thread that runs stays open.
func TestIdleThreadIsInNoFault(t *testing.T) {
	r := reader(t, Config{})
	r.Read() // so that there is a pairer
	tids, end := make(chan uint32), make(chan struct{})
	defer close(end)
	go func() {
		runtime.LockOSThread()
		tids <- uint32(unix.Gettid())
		<-end
	}()
	go func() {
		runtime.LockOSThread() // its thread ends
		tids <- uint32(unix.Gettid())
	}()
	want := map[uint32]bool{<-tids: true, <-tids: true}
	r.mu.Lock()
	if r.pairer.open == nil {
		r.pairer.pair(&rawRecord{kind: begin, tid: 1})
		r.pairer.close(r.pairer.open[1])
	}
	i := uint64(1)
	for tid := range want {
		r.pairer.open[tid] = &began{rawRecord: rawRecord{kind: begin, tid: tid, address: i << 40, time: r.asked + 1}}
		i++
	}
	r.mu.Unlock()
	got := make(map[uint32]bool)
	for until := time.Now().Add(20 * time.Second); len(got) < 2 && time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		for _, f := range r.Read().Faults {
			if want[f.Thread] && f.Kind == Interrupted && f.Address >= 1<<40 {
				got[f.Thread] = true
			}
		}
	}
	if len(got) != 2 {
		t.Errorf("interrupted %v, want %v", got, want)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if !inFault(uint32(unix.Gettid())) {
		t.Error("a thread that runs may be in a fault")
	}
}
