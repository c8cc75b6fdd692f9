//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/pagecache"
	"github.com/firsttouch/firsttouch/internal/perfevents"
	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// observing makes a profiler that only observes, or skips with the kernel's reason.
func observing(t *testing.T, opts ...Option) *Profiler {
	t.Helper()
	p, err := New(append([]Option{WithDelivery(DeliveryObserve)}, opts...)...)
	if errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// coldPages maps a new file, whose page i begins with byte i, without read-ahead, and has none of it in memory.
func coldPages(t *testing.T, n int) (path string, b []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "cold")
	content := make([]byte, n*pageSize)
	for i := range n {
		content[i*pageSize] = byte(i)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)); err != nil {
		t.Fatal(err)
	}
	b, err = unix.Mmap(int(f.Fd()), 0, len(content), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(b) })
	if err := unix.Madvise(b, unix.MADV_RANDOM); err != nil {
		t.Fatal(err)
	}
	if n := len(inMemory(t, b)); n > 0 {
		t.Skipf("%d pages of a file are still in memory after posix_fadvise(POSIX_FADV_DONTNEED): set TMPDIR to a directory on a disk", n)
	}
	return path, b
}

func inMemory(t *testing.T, b []byte) (pages []int) {
	t.Helper()
	list, err := pagecache.Mapping(b)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range list {
		if m&1 != 0 {
			pages = append(pages, i)
		}
	}
	return pages
}

// ownMaps lists the mappings of the process's file, as the kernel does.
func ownMaps(t *testing.T, path string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if strings.HasSuffix(strings.TrimSpace(string(line)), path) {
			lines = append(lines, string(line))
		}
	}
	return lines
}

//go:noinline
func touchSeen(b []byte) byte { return b[0] }

// TestObserve: of a cold file without read-ahead each touched page is seen once, in its span and goroutine, with its stack and wait;
// and no mapping of it has changed.
func TestObserve(t *testing.T) {
	const pages, workers = 1024, 4
	path, b := coldPages(t, pages)
	before := ownMaps(t, path)
	p := observing(t)
	r, err := p.AttachFile(path, WithName("cold"))
	if err != nil {
		t.Fatal(err)
	}
	if now := ownMaps(t, path); len(before) != 1 || !slices.Equal(before, now) {
		t.Errorf("mappings before %q, now %q", before, now)
	}
	order := rand.New(rand.NewPCG(3, 4)).Perm(pages)[:pages/2]
	type done struct {
		end   SpanStats
		ref   SpanRef
		goid  uint64
		pages map[int]bool
	}
	var all [workers]done
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() {
			d := &all[k]
			d.goid, d.pages = p.binder.Goid(), make(map[int]bool)
			s := p.StartSpan([16]byte{1}, [8]byte{byte(k + 1)})
			d.ref = s.Ref()
			for i := k; i < len(order); i += workers {
				if touchSeen(b[order[i]*pageSize:]) != byte(order[i]) {
					t.Errorf("page %d has other contents", order[i])
				}
				d.pages[order[i]] = true
			}
			d.end = s.End()
			t.Cleanup(s.Release)
		})
	}
	wg.Wait()
	s := p.Snapshot()
	for end := time.Now().Add(10 * time.Second); s.Stats.Records < uint64(len(order)) && time.Now().Before(end); { // interrupted ones come late
		time.Sleep(20 * time.Millisecond)
		s = p.Snapshot()
	}
	if s.Stats.Dropped > 0 && raceEnabled { // its own memory fills the buffers of an ordinary user
		t.Skipf("under the race detector, %d records were dropped", s.Stats.Dropped)
	}
	seen := make(map[int]int)
	late := make(map[SpanRef]uint64)
	sources := make(map[Source]int)
	for _, f := range s.Faults {
		page := int(f.Offset) / pageSize
		seen[page]++
		sources[f.Source]++
		i := slices.IndexFunc(all[:], func(d done) bool { return d.pages[page] })
		if i < 0 || f.Region != r.ID() || f.Access != AccessUnknown || f.Thread == 0 {
			t.Errorf("page %d: %+v", page, f)
			continue
		}
		if f.Goroutine != all[i].goid || f.Span != all[i].ref {
			t.Errorf("page %d of goroutine %d in span %d, want %d in %d", page, f.Goroutine, f.Span, all[i].goid, all[i].ref)
		}
		if f.Source == SourceUnknown && f.Wait == WaitMeasured || f.Source == SourcePageCache {
			t.Errorf("page %d, from storage: %v, %v %v", page, f.Source, f.Wait, f.Stall)
		}
		if f.Wait == WaitUnknown {
			late[f.Span]++
		}
		if frames := s.Frames(f.Stack); len(frames) < 2 || !strings.HasSuffix(frames[0].Function, ".touchSeen") || !strings.Contains(frames[1].Function, "TestObserve") {
			t.Errorf("page %d: stack %+v", page, frames)
		}
	}
	for _, page := range order {
		if seen[page] != 1 {
			t.Errorf("page %d comes %d times", page, seen[page])
		}
	}
	if have := inMemory(t, b); len(have) != len(order) || len(seen) != len(order) || s.Stats.Dropped != 0 {
		t.Errorf("%d pages touched, %d seen, %d in memory, %d dropped", len(order), len(seen), len(have), s.Stats.Dropped)
	}
	for k := range all {
		d := &all[k]
		// Of those whose wait is unknown some were there when the span ended, and some came later.
		if pages := uint64(len(d.pages)); d.end.Faults > pages || d.end.Faults+late[d.ref] < pages || d.end.Stall == 0 || d.end.Bytes != d.end.Faults*uint64(pageSize) || !slices.Equal(d.end.Regions, []RegionID{r.ID()}) {
			t.Errorf("span %d ended with %+v, late %d, of %d pages", k, d.end, late[d.ref], len(d.pages))
		}
	}
	t.Logf("%d faults by source %v; %d of other memory; waits unknown %d; overhead %v; %s", len(s.Faults), sources, s.Stats.Elsewhere, s.Stats.StallsUnknown, s.Stats.Overhead, s.Stats.Notes[0])
	if !strings.Contains(s.Stats.Notes[0], "observed by perf events") || s.Stats.Delivery != "observe" {
		t.Errorf("notes %q, delivery %s", s.Stats.Notes, s.Stats.Delivery)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if now := ownMaps(t, path); !slices.Equal(before, now) {
		t.Errorf("mappings before %q, at the end %q", before, now)
	}
	touchSeen(b[(pages-1)*pageSize:])
	if again := p.Snapshot(); again.Stats.Records != s.Stats.Records || !again.Regions[0].Detached {
		t.Errorf("%d records after it was closed, %d before", again.Stats.Records, s.Stats.Records)
	}
}

// TestObserveAsOrdinaryUser: perf_event_paranoid 2 and no privileges are enough.
func TestObserveAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	testproc.Run(t, "TestObserve", nil, time.Minute, testproc.AsUser(nobody))
}

// TestObserveKinds: arenas, named memory, files that are mapped here or later, and the goroutines and spans of their faults.
func TestObserveKinds(t *testing.T) {
	p := observing(t)
	arena, err := p.NewArena("arena", 64*pageSize)
	if err != nil {
		t.Fatal(err)
	}
	defer arena.Close()
	memory, err := unix.Mmap(-1, 0, 64*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	if err := unix.Madvise(memory, unix.MADV_NOHUGEPAGE); err != nil {
		t.Fatal(err)
	}
	memory[0] = 1 // before it has a name
	if _, err := p.AttachMemory("memory", memory); err != nil {
		t.Fatal(err)
	}
	s := p.StartSpan([16]byte{2}, [8]byte{2})
	for i := range 64 {
		if i%2 == 1 {
			arena.Bytes()[i*pageSize] = 1
			memory[i*pageSize] = 1
		}
	}
	// A goroutine that this one starts works for the same span, and one that it is bound to.
	done := make(chan uint64)
	go func() { arena.Bytes()[0] = 1; p.binder.Goid(); done <- p.binder.Goid() }()
	child := <-done
	go func() {
		unbind := s.Bind()
		memory[2*pageSize] = 1
		unbind()
		memory[4*pageSize] = 1
		done <- 0
	}()
	<-done
	end := s.End()
	defer s.Release()
	arena.Bytes()[2*pageSize] = 1 // for no span
	snap := p.Snapshot()
	if snap.Stats.Dropped > 0 && raceEnabled {
		t.Skipf("under the race detector, %d records were dropped", snap.Stats.Dropped)
	}
	a, m := snap.Region("arena"), snap.Region("memory")
	if a.Faults != 34 || a.Touched != 34*int64(pageSize) || m.Faults != 34 || a.TouchedAt(6*int64(pageSize)) {
		t.Errorf("arena %d faults, %d bytes; memory %d faults", a.Faults, a.Touched, m.Faults)
	}
	for _, f := range snap.Faults {
		page := f.Offset / int64(pageSize)
		switch {
		case f.Source != SourceZero || f.Wait != WaitMeasured || f.Stall <= 0:
			t.Errorf("%+v", f)
		case page%2 == 1 && f.Span != s.Ref(), f.Region == m.ID && page == 2 && f.Span != s.Ref():
			t.Errorf("page %d of region %d in span %d, want %d", page, f.Region, f.Span, s.Ref())
		case f.Region == a.ID && page == 2 && f.Span != 0:
			t.Errorf("after its end, in span %d", f.Span)
		case f.Region == a.ID && page == 0 && f.Goroutine != 0 && f.Goroutine != child:
			t.Errorf("of goroutine %d, want %d or unknown", f.Goroutine, child)
		}
	}
	if end.Faults < 65 || len(end.Regions) != 2 {
		t.Errorf("the span ended with %+v", end)
	}
	for _, err := range []error{arena.Rearm(), arena.SetSampling(0.5)} {
		if !errors.Is(err, ErrNotSupported) {
			t.Errorf("%v", err)
		}
	}
	if _, err := p.AttachGoHeap(); !errors.Is(err, ErrNotSupported) {
		t.Error(err)
	}
	if _, err := p.NewArena("writes", pageSize, WithWritesOnly()); !errors.Is(err, ErrNotSupported) {
		t.Error(err)
	}
	list, err := p.Mappings()
	if err != nil || !slices.ContainsFunc(list, func(m Mapping) bool { return m.Region == "arena" }) || !slices.ContainsFunc(list, func(m Mapping) bool { return m.Kind == MappingProfiler }) {
		t.Errorf("%v, %d mappings, none of them the arena, or the profiler's", err, len(list))
	}
}

// TestObserveLaterMappings: a file's mapping that is made later is observed from its first page on, also where it takes the place of
// another one; and what comes in its place is not taken for it.
func TestObserveLaterMappings(t *testing.T) {
	path, b := coldPages(t, 16)
	other, o := coldPages(t, 16)
	p := observing(t, WithRescan(time.Minute)) // so that no look helps
	r, err := p.AttachFile(path, WithName("file"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g, err := os.Open(other)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	lo, _ := bounds(b)
	fixed := func(fd uintptr, offset int) {
		at, _, errno := unix.Syscall6(unix.SYS_MMAP, lo, 16*uintptr(pageSize), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED, fd, uintptr(offset))
		if errno != 0 || at != lo {
			t.Fatal(errno)
		}
		if err := unix.Madvise(b, unix.MADV_RANDOM); err != nil {
			t.Fatal(err)
		}
	}
	touchSeen(b)
	fixed(g.Fd(), 0)
	touchSeen(b[pageSize:]) // of the other file
	fixed(f.Fd(), 4*pageSize)
	touchSeen(b[2*pageSize:]) // page 6
	second, err := unix.Mmap(int(f.Fd()), 0, 16*pageSize, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(second)
	if err := unix.Madvise(second, unix.MADV_RANDOM); err != nil {
		t.Fatal(err)
	}
	touchSeen(second[9*pageSize:])
	touchSeen(o)
	var pages []int64
	for _, f := range p.Snapshot().Faults {
		if f.Region == r.ID() {
			pages = append(pages, f.Offset/int64(pageSize))
		}
	}
	if !slices.Equal(pages, []int64{0, 6, 9}) {
		t.Errorf("pages %v, want 0, 6, 9", pages)
	}
}

// TestObserveHealth: what it needs of the process is only descriptors and its buffers, all of which it gives back.
func TestObserveHealth(t *testing.T) {
	fds := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	p := observing(t)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	before := fds()
	for range 3 {
		p := observing(t)
		if systemCalls, err := Observable(); err != nil || systemCalls == strings.Contains(p.Snapshot().Stats.Notes[0], "inside system calls") {
			t.Errorf("%v, %v: %s", systemCalls, err, p.Snapshot().Stats.Notes[0])
		}
		if err := errors.Join(p.Health().Broken, p.Close(), p.Close()); err != nil {
			t.Error(err)
		}
	}
	if now := fds(); now != before {
		t.Errorf("%d descriptors before, %d now", before, now)
	}
}

// TestObserveForeignRegister: what is in the register of the g outside of Go's code is taken for no goroutine.
func TestObserveForeignRegister(t *testing.T) {
	p := observing(t)
	known := goroutines{goid: p.obs.goroutines.goid, parent: p.obs.goroutines.parent, known: make(map[uintptr]*knownG)}
	if known.goid == 0 {
		t.Skip("goroutine ids are not known in this version of Go")
	}
	page, err := newPlain(pageSize)
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := bounds(page)
	for i := range page {
		page[i] = 0xff // no bounds of a stack
	}
	g := raw.G()
	sp := uintptr(word(g, 0)) + 64
	for name, f := range map[string]perfevents.Fault{
		"nothing": {}, "unaligned": {G: g + 1, SP: sp}, "unmapped": {G: 8, SP: sp}, "kernel": {G: ^uintptr(7), SP: sp},
		"other memory": {G: lo, SP: sp}, "the end of memory": {G: hi - 8, SP: sp}, "another stack": {G: g, SP: lo},
	} {
		known.read([]perfevents.Fault{f}, 100)
		if len(known.known) != 0 {
			t.Errorf("%s: %+v", name, known.known)
		}
	}
	if err := unmap(page); err != nil {
		t.Fatal(err)
	}
	for range 10 { // the stack may move as it grows
		if known.known[g] == nil {
			known.read([]perfevents.Fault{{G: g, SP: uintptr(word(g, 0)) + 64}}, 100)
		}
	}
	known.read([]perfevents.Fault{{G: g, SP: lo}}, 200) // once it is known to be one
	want := p.binder.Goid()
	for at, want := range map[int64]uint64{99: 0, 100: want, 150: want, 200: want, 201: 0} {
		if got, _ := known.at(g, at); got != want {
			t.Errorf("at %d: goroutine %d, want %d", at, got, want)
		}
	}
	// Another goroutine has it later: in between nobody knows.
	known.sees(g, want+1, 0, 300)
	known.sees(g, want+1, 0, 400)
	for at, want := range map[int64]uint64{200: want, 250: 0, 300: want + 1, 400: want + 1} {
		if got, _ := known.at(g, at); got != want {
			t.Errorf("at %d: goroutine %d, want %d", at, got, want)
		}
	}
}

// descriptors lists those of the events.
func (o *observer) descriptors() (list []int) {
	for fd := range 1 << 12 {
		if to, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err == nil && to == "anon_inode:[perf_event]" {
			list = append(list, fd)
		}
	}
	return list
}

// TestObserveSystemCalls: what a system call touches first is seen where the kernel's events may be, and Observable says whether.
func TestObserveSystemCalls(t *testing.T) {
	p := observing(t)
	systemCalls, err := Observable()
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.NewArena("arena", 4*pageSize)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	s := p.StartSpan([16]byte{1}, [8]byte{1})
	if n, err := unix.Write(pipe[1], a.Bytes()[:8]); n != 8 || err != nil { // reads page 0
		t.Fatal(n, err)
	}
	if n, err := unix.Read(pipe[0], a.Bytes()[pageSize:][:8]); n != 8 || err != nil { // writes page 1
		t.Fatal(n, err)
	}
	a.Bytes()[2*pageSize] = 1
	s.End()
	defer s.Release()
	want := []int64{2}
	if systemCalls {
		want = []int64{0, 1, 2}
	}
	var got []int64
	snap := p.Snapshot()
	for _, f := range snap.Faults {
		got = append(got, f.Offset/int64(pageSize))
		if f.Span != s.Ref() || f.Goroutine == 0 || len(snap.Frames(f.Stack)) < 2 {
			t.Errorf("page %d: %+v, stack %+v", f.Offset/int64(pageSize), f, snap.Frames(f.Stack))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages %v, want %v: system calls are seen: %v", got, want, systemCalls)
	}
}
