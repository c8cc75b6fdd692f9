//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// minorFaults counts the pages that the process was given: what walks over an array as large as a mapping takes them.
func minorFaults(t testing.TB) int64 {
	t.Helper()
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return u.Minflt
}

// sparseFile makes a file that has a size and nothing in it.
func sparseFile(t testing.TB, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sparse")
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, os.Truncate(path, size))
	return path
}

// What is done to a mapping takes memory, and so time, by what was touched of it and not by its size: a TiB has
// 268,435,456 pages, of which one is touched here, and a byte for each would be 65,536 page faults.
func TestCostsOfASparseMappingGoByWhatWasTouched(t *testing.T) {
	const size = 1 << 40
	path := sparseFile(t, size)
	mem := mapFile(t, path, size, unix.PROT_READ, unix.MAP_SHARED)
	p := newProfiler(t)
	var r *Region
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"attach", func() (err error) { r, err = p.AttachFile(path); return err }},
		{"touch", func() error { sink = mem[size/2]; return nil }},
		{"look", func() error { r.mu.Lock(); defer r.mu.Unlock(); return r.lookNow() }},
		{"snapshot", func() error { p.Flush(); p.Snapshot(); return nil }},
		{"rearm", func() error { return r.Rearm() }},
		{"touch again", func() error { sink = mem[size/2]; return nil }},
		{"close", func() error { return r.Close() }},
	} {
		before := minorFaults(t)
		must(t, step.do())
		if n := minorFaults(t) - before; n > 8192 {
			t.Errorf("%s of a sparse TiB took %d page faults", step.name, n)
		}
	}
	if got := p.Snapshot().Regions[r.ID()]; got.Faults != 2 || got.Touched != int64(got.Granule) {
		t.Errorf("%d faults, %d bytes touched", got.Faults, got.Touched)
	}
}

// What is left of a placeholder in thousands of pieces goes back in steps, between which the other threads run, and
// nothing of it stays.
func TestManyPiecesAreGivenBackInSteps(t *testing.T) {
	const pages = 16 << 10
	size := pages * pageSize
	path := newFile(t, size)
	mem := mapFile(t, path, size, unix.PROT_READ, unix.MAP_SHARED)
	p := newProfiler(t, WithGranule(pageSize), WithLogLimit(0))
	r, err := attached(func() (*Region, error) { return p.AttachFile(path) })
	must(t, err)
	for i := 0; i < pages; i += 2 {
		sink = mem[i*pageSize]
	}
	before := p.eng.Stats()
	must(t, patiently(r.Close))
	after := p.eng.Stats()
	if n := after.Stops - before.Stops; testDelivery() == DeliverySignal && haveGuards(t) {
		if n == 0 { // it was never in pieces: its markers go as fast as page tables are walked
			t.Error("it went back without a stop")
		}
	} else if n < 2 {
		t.Errorf("%d pieces went back in %d step", pages/2, after.Stops-before.Stops)
	}
	list, err := p.readMaps()
	must(t, err)
	lo, covered := addressOf(mem), uintptr(0)
	for _, m := range list {
		if from, to := max(m.lo, lo), min(m.hi, lo+uintptr(size)); from < to {
			if !r.file.is(&m) {
				t.Errorf("%#x-%#x is %+v", from, to, m)
			}
			covered += to - from
		}
	}
	if covered != uintptr(size) {
		t.Errorf("%d bytes of %d are mapped", covered, size)
	}
	if !bytes.Equal(mem, contents(len(mem))) {
		t.Error("the mapping does not hold what the file does")
	}
	if got := p.Snapshot().Regions[r.ID()]; got.Faults != uint64(pages/2) {
		t.Errorf("%d faults, of %d", got.Faults, pages/2)
	}
}

// countSmaps counts how often the kernel is asked to walk the page tables of all memory, until the test ends.
func countSmaps(t *testing.T) *int {
	t.Helper()
	n, open := 0, openSmaps
	openSmaps = func() (*os.File, error) {
		n++
		return open()
	}
	t.Cleanup(func() { openSmaps = open })
	return &n
}

// Attaching, arming again and looking do not go by what the process has in memory, whether some of that is locked or not.
func TestAttachingDoesNotWalkThePageTables(t *testing.T) {
	for _, locks := range []bool{false, true} {
		t.Run(fmt.Sprintf("locks=%t", locks), func(t *testing.T) {
			p := newProfiler(t)
			if _, ok := p.eng.PageSize(addressOf(mapMemory(t, 1))); !ok {
				t.Skip("the kernel does not tell of one mapping alone (PROCMAP_QUERY, Linux 6.11)")
			}
			other := mapMemory(t, 4)
			if locks {
				if err := unix.Mlock(other); err != nil {
					t.Skipf("memory cannot be locked here: %v", err)
				}
				t.Cleanup(func() { must(t, unix.Munlock(other)) }) // other tests count what a process without locks costs
			}
			path := diskFile(t, 16*pageSize)
			file := mapFile(t, path, 16*pageSize, unix.PROT_READ, unix.MAP_SHARED)
			onFault := diskFile(t, 16*pageSize)
			locked := mapFile(t, onFault, 16*pageSize, unix.PROT_READ, unix.MAP_SHARED)
			if locks {
				must(t, mlock2(locked, unix.MLOCK_ONFAULT))
			}
			memory := mapMemory(t, 16)
			n := countSmaps(t)
			attach := []func() (*Region, error){
				func() (*Region, error) { return p.AttachFile(path) },
				func() (*Region, error) { return p.AttachFile(onFault) },
			}
			if testDelivery() == DeliveryThread {
				shared := mapKind(t, newMemfd(t, 16*pageSize, 0), 16*pageSize, unix.MAP_SHARED)
				attach = append(attach,
					func() (*Region, error) { return p.AttachMemory("memory", memory) },
					func() (*Region, error) { return p.AttachMemory("shared", shared) })
			}
			for i, a := range attach {
				r, err := a()
				if errors.Is(err, ErrNotSupported) {
					t.Skip(err)
				}
				must(t, err)
				sink = file[0] + locked[0] + memory[0]
				must(t, patiently(r.Rearm))
				if *n != 0 {
					t.Errorf("%d: the page tables of all memory were walked %d times", i, *n)
					*n = 0
				}
			}
			p.look()
			if *n != 0 {
				t.Errorf("a look walked the page tables of all memory %d times", *n)
			}
		})
	}
}

// What is asked of one mapping is what /proc/self/smaps tells of it.
func TestProbesAgreeWithSmaps(t *testing.T) {
	p := newProfiler(t)
	files, err := readFileSystems()
	must(t, err)
	path := diskFile(t, 8*pageSize)
	memfd := newMemfd(t, 8*pageSize, 0)
	readonly, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", memfd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(readonly)
	mapReadonly := func(fd int) []byte {
		b, err := unix.Mmap(fd, 0, 8*pageSize, unix.PROT_READ, unix.MAP_SHARED)
		must(t, err)
		t.Cleanup(func() { unix.Munmap(b) })
		return b
	}
	all := map[string][]byte{
		"file":             mapFile(t, path, 8*pageSize, unix.PROT_READ, unix.MAP_SHARED),
		"writable file":    mapFile(t, path, 8*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED),
		"memfd":            mapKind(t, memfd, 8*pageSize, unix.MAP_SHARED),
		"memfd, read-only": mapReadonly(readonly), "memfd, may be written": mapReadonly(memfd),
		"memory": mapMemory(t, 8),
	}
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit))
	if limit.Cur >= uint64(16*8*pageSize) {
		for _, onFault := range []bool{false, true} {
			for touched := range 2 {
				name := fmt.Sprintf("locked on fault=%t touched=%d", onFault, touched)
				b := mapFile(t, path, 8*pageSize, unix.PROT_READ, unix.MAP_SHARED)
				must(t, mlock2(b, map[bool]int{true: unix.MLOCK_ONFAULT}[onFault]))
				for i := range touched * 8 {
					sink = b[i*pageSize]
				}
				all[name] = b
			}
		}
		b := mapMemory(t, 8)
		must(t, unix.Mlock(b))
		t.Cleanup(func() { must(t, unix.Munlock(b)) })
		all["locked memory"] = b
	}
	for _, dontfork := range []bool{false, true} {
		b := mapMemory(t, 8)
		if dontfork {
			must(t, unix.Madvise(b, unix.MADV_DONTFORK))
		}
		if yes, ok := p.eng.Dontfork(addressOf(b)); ok && yes != dontfork {
			t.Errorf("kept from children: %t, of %t", yes, dontfork)
		}
		if at, err := smapAt(addressOf(b)); err != nil || at.has("dc") != dontfork {
			t.Errorf("after it was asked for: %q, %v", at.flags, err)
		}
	}
	for name, b := range all {
		want, err := smapAt(addressOf(b))
		must(t, err)
		got := p.probe(&want.procMap, files.of(&want.procMap))
		if got.page != want.page {
			t.Errorf("%s: pages of %d bytes, of %d", name, got.page, want.page)
		}
		for _, flag := range []string{"lo", "ht"} {
			if got.has(flag) != want.has(flag) {
				t.Errorf("%s: %s is %t: %q", name, flag, got.has(flag), want.flags)
			}
		}
		if want.shared && got.has("mw") != want.has("mw") {
			t.Errorf("%s: mw is %t: %q", name, got.has("mw"), want.flags)
		}
		if lock, err := p.lockAt(&want.procMap); want.shared && want.has("lo") && (err != nil || lock != want.lock()) {
			t.Errorf("%s: locked as %d, %v: %q", name, lock, err, want.flags)
		}
	}
}

// The kernel is not asked whose each piece of a mapping is, neither when one of its pages is touched nor at the looks for
// new mappings: the list of mappings shows it. By signal each fault is proven to be the profiler's.
func TestLooksAskNothingOfThePieces(t *testing.T) {
	path := diskFile(t, 256*pageSize)
	mem := mapFile(t, path, len(contents(256*pageSize)), unix.PROT_READ, unix.MAP_SHARED)
	p := newProfiler(t, WithDelivery(DeliveryThread), WithGranule(pageSize))
	r, err := attached(func() (*Region, error) { return p.AttachFile(path) })
	must(t, err)
	before := p.eng.Stats().Asked
	for i := 0; i < 256; i += 2 {
		sink = mem[i*pageSize]
		if i%16 == 0 {
			r.mu.Lock()
			must(t, r.lookNow())
			r.mu.Unlock()
		}
	}
	if n := p.eng.Stats().Asked - before; n > 0 {
		t.Errorf("the kernel was asked %d times in 128 faults and 16 looks", n)
	}
	if got := p.Snapshot().Regions[r.ID()]; len(got.Mappings) != 1 {
		t.Errorf("%d mappings", len(got.Mappings))
	}
}

// By signal the threads that touch do the profiler's work, in a handler in which they are preempted as anywhere else. The overhead is what
// that takes of the processors: with many more threads than those, the time that passes in handlers is several times as much.
func TestOverheadBySignalIsProcessorTime(t *testing.T) {
	const rounds, threads, each = 1, 64, 384
	p := newProfiler(t, WithDelivery(DeliverySignal), WithLogLimit(0))
	used := func() time.Duration {
		var u unix.Rusage
		must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
	before := used()
	for round := range rounds {
		a, err := p.NewArena(fmt.Sprint("overhead ", round), threads*each*pageSize)
		must(t, err)
		start, mem := make(chan struct{}), a.Bytes()
		var done sync.WaitGroup
		for i := range threads {
			done.Go(func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				<-start
				for n := range each {
					mem[(i*each+n)*pageSize]++
				}
			})
		}
		close(start)
		done.Wait()
		must(t, patiently(a.Close))
	}
	overhead, spent := p.Cost().Engine, used()-before
	t.Logf("overhead %v, processor time of the process %v", overhead, spent)
	if overhead == 0 || overhead > spent {
		t.Errorf("overhead %v of the %v that the process had of its processors", overhead, spent)
	}
}
