package uffd

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// conformMove moves private anonymous memory in steps of a page, of a huge page and of a huge page's
// parts. No other memory can be moved, or moved to.
func conformMove(t *testing.T, kind MemoryKind) {
	needs(t, FeatureMove)
	if kind != MemoryAnonymous {
		a, other := newArea(t, kind, 1), newArea(t, MemoryAnonymous, 1)
		if a.huge() {
			other = aligned(t, a.size)
		}
		other.mem[0] = 1
		fd := a.open(t)
		register(t, fd, a.mem, ModeMissing)
		register(t, fd, newArea(t, MemoryAnonymous, 1).mem, ModeMissing)
		if _, err := fd.Move(a.rng().Start, Range{other.rng().Start, other.rng().Start + Addr(a.size)}, 0); !isErr(err, ErrInvalid, unix.EINVAL) {
			t.Errorf("into it: %v", err)
		}
		target := aligned(t, a.size)
		register(t, fd, target.mem, ModeMissing)
		if _, err := fd.Move(target.rng().Start, a.rng(), 0); !isErr(err, ErrInvalid, unix.EINVAL) {
			t.Errorf("out of it: %v", err)
		}
		return
	}
	a, source := newArea(t, kind, 16), newArea(t, kind, 16)
	moveAll(t, a, source, a.size)
	huge := hugeSize()
	if huge == 0 {
		leaveOut(t, "transparent huge pages", "the kernel does not have them, or never uses them")
		return
	}
	for name, step := range map[string]int{"a huge page whole": huge, "a huge page split": PageSize()} {
		a, source := aligned(t, 2*huge), aligned(t, 2*huge)
		for n := 0; n < len(source.mem); n += PageSize() {
			source.mem[n] = 1
		}
		if !isHuge(t, source.mem) {
			leaveOut(t, name, "the kernel gave no huge page")
			continue
		}
		moveAll(t, a, source, step)
		if t.Failed() {
			t.Errorf("in steps of %s", name)
		}
		if whole := step == huge; whole != isHuge(t, a.mem) {
			t.Errorf("%s: the target is of huge pages: %v", name, !whole)
		}
	}
}

// moveAll touches each page of a, with a reader that moves in steps.
func moveAll(t *testing.T, a, source area, step int) {
	t.Helper()
	for n := 0; n < len(source.mem); n += PageSize() {
		source.mem[n] = byte(1 + n/PageSize()%250)
	}
	fd := openTest(t)
	register(t, fd, a.mem, ModeMissing)
	stop := serve(t, fd, func(m *Msg) {
		at := m.Address().AlignDown(uintptr(step))
		from := source.rng().Start + at - a.rng().Start
		n, err := fd.Move(at, Range{from, from + Addr(step)}, 0)
		// The kernel itself holds new pages for a moment, and a huge one that is held cannot be split.
		for ; errors.Is(err, ErrBusy); n, err = fd.Move(at, Range{from, from + Addr(step)}, 0) {
			time.Sleep(time.Millisecond)
		}
		if n != step || err != nil {
			t.Errorf("moved %d bytes, %v", n, err)
		}
	})
	for n := 0; n < len(a.mem); n += PageSize() {
		if got, want := a.mem[n], byte(1+n/PageSize()%250); got != want {
			t.Fatalf("byte %#x is %d, want %d", n, got, want)
		}
	}
	wantServed(t, stop(), served{missing: len(a.mem) / step})
	for n := 0; n < len(source.mem); n += PageSize() {
		if source.mem[n] != 0 {
			t.Fatalf("the source still holds %d at %#x", source.mem[n], n)
		}
	}
}

// aligned is anonymous memory whose begin and size are multiples of a huge page, for the kernel to
// use huge pages.
func aligned(t *testing.T, length int) area {
	t.Helper()
	unit := max(hugeSize(), length)
	whole := newArea(t, MemoryAnonymous, (length+unit)/PageSize())
	skip := int((whole.rng().Start + Addr(unit) - 1).AlignDown(uintptr(unit)) - whole.rng().Start)
	whole.mem = whole.mem[skip : skip+length]
	if hugeSize() != 0 {
		if err := unix.Madvise(whole.mem, unix.MADV_HUGEPAGE); err != nil {
			t.Fatal(err)
		}
	}
	return whole
}

// hugeSize is the size of a transparent huge page in bytes, 0 where there is none.
func hugeSize() int {
	mode, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil || strings.Contains(string(mode), "[never]") {
		return 0
	}
	text, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
	if err != nil {
		return 0
	}
	size, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return size
}

// isHuge reports whether all of mem is mapped in huge pages.
func isHuge(t *testing.T, mem []byte) bool {
	t.Helper()
	p, err := OpenPagemap(0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	bytes := uintptr(0)
	err = p.Scan(RangeOf(mem), ScanQuery{All: PageIsHuge, Return: PageIsHuge}, make([]PageRegion, 8), func(regions []PageRegion) bool {
		for _, r := range regions {
			bytes += r.Len()
		}
		return true
	})
	if err != nil && !errors.Is(err, ErrNotSupported) {
		t.Fatal(err)
	}
	return int(bytes) == len(mem)
}
