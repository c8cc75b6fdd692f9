package uffd

import (
	"bytes"
	"errors"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// checkPages holds the first and the last byte of each page of mem against want.
func checkPages(t *testing.T, mem []byte, want ...byte) {
	t.Helper()
	for n, b := range want {
		if p := page(mem, n); p[0] != b || p[len(p)-1] != b {
			t.Errorf("page %d holds %d...%d, want %d", n, p[0], p[len(p)-1], b)
		}
	}
}

func TestCopyFillsTheRange(t *testing.T) {
	fd := openTest(t)
	mem := anonymous(t, 3)
	register(t, fd, mem, ModeMissing)
	source := append(pattern(1, 1), append(pattern(2, 1), pattern(3, 1)...)...)
	if n, err := fd.Copy(RangeOf(mem).Start, source, 0); n != len(source) || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if !bytes.Equal(mem, source) {
		t.Error("the memory is not the source")
	}
}

// A source need not be aligned, and may lie on the caller's stack as far as the caller knows.
func TestCopyFromAnywhere(t *testing.T) {
	fd := openTest(t)
	mem := anonymous(t, 1)
	register(t, fd, mem, ModeMissing)
	var local [1 << 17]byte
	for i := range local {
		local[i] = byte(i % 251)
	}
	source := local[13 : 13+PageSize()]
	if _, err := fd.Copy(RangeOf(mem).Start, source, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(mem, source) {
		t.Error("the memory is not the source")
	}
}

// The finishing form goes on behind pages that are there, leaves them as they are, and counts what
// it filled itself; the raw form says what the kernel said.
func TestFillsGoOnBehindPresentPages(t *testing.T) {
	for name, c := range map[string]struct {
		fill func(fd *FD, r Range) (int, error)
		want []byte
	}{
		"Copy":     {func(fd *FD, r Range) (int, error) { return fd.Copy(r.Start, pattern(7, 5), 0) }, []byte{7, 9, 7, 9, 7}},
		"Zeropage": {func(fd *FD, r Range) (int, error) { return fd.Zeropage(r, 0) }, []byte{0, 9, 0, 9, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			fd := openTest(t)
			mem := anonymous(t, 5)
			register(t, fd, mem, ModeMissing)
			for _, n := range []int{1, 3} {
				if _, err := fd.Copy(pageRange(mem, n).Start, pattern(9, 1), 0); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := c.fill(fd, RangeOf(mem)); n != 3*PageSize() || err != nil {
				t.Errorf("filled %d bytes, %v; want 3 pages", n, err)
			}
			checkPages(t, mem, c.want...)
		})
	}
}

func TestRawCopySaysWhatTheKernelSaid(t *testing.T) {
	fd := openTest(t)
	mem := anonymous(t, 2)
	register(t, fd, mem, ModeMissing)
	source := anonymous(t, 2) // does not move, as rawCopy asks
	source[0] = 5
	size := int64(PageSize())
	second := copyArg{Dst: uint64(pageRange(mem, 1).Start), Src: uint64(RangeOf(source).Start), Len: uint64(size), Copy: 77}
	for _, step := range []struct {
		name  string
		arg   copyArg
		errno unix.Errno
		field int64
	}{
		{"a missing page", second, 0, size},
		{"the same again", second, unix.EEXIST, -int64(unix.EEXIST)},
		{"one missing, one present", copyArg{Dst: uint64(RangeOf(mem).Start), Src: second.Src, Len: uint64(2 * size)}, unix.EAGAIN, size},
		{"not registered", copyArg{Dst: second.Src, Src: second.Src, Len: uint64(size)}, unix.ENOENT, -int64(unix.ENOENT)},
		{"empty", copyArg{Dst: second.Dst, Src: second.Src, Copy: 77}, unix.EINVAL, 0},
	} {
		if errno := fd.rawCopy(&step.arg); errno != step.errno || step.arg.Copy != step.field {
			t.Errorf("%s: %v with %d, want %v with %d", step.name, errno, step.arg.Copy, step.errno, step.field)
		}
	}
}

func TestFillRefusals(t *testing.T) {
	fd := openTest(t)
	mem := anonymous(t, 2)
	register(t, fd, page(mem, 0), ModeMissing)
	start := RangeOf(mem).Start
	for name, c := range map[string]struct {
		fill func() (int, error)
		kind error
		done uint64
	}{
		"Copy not aligned":        {func() (int, error) { return fd.Copy(start+1, pattern(1, 1), 0) }, ErrInvalid, 0},
		"Copy of nothing":         {func() (int, error) { return fd.Copy(start, nil, 0) }, ErrInvalid, 0},
		"Copy beyond the top":     {func() (int, error) { return fd.Copy(^Addr(0)-Addr(PageSize())+1, pattern(1, 2), 0) }, ErrInvalid, 0},
		"Copy unknown mode":       {func() (int, error) { return fd.Copy(start, pattern(1, 1), 1<<40) }, ErrInvalid, 0},
		"Zeropage beyond the end": {func() (int, error) { return fd.Zeropage(RangeOf(mem), 0) }, ErrNotRegistered, 0},
		"Continue of anonymous":   {func() (int, error) { return fd.Continue(pageRange(mem, 0), 0) }, ErrInvalid, 0},
		"Move of nothing":         {func() (int, error) { return fd.Move(start, Range{start, start}, 0) }, ErrInvalid, 0},
	} {
		n, err := c.fill()
		refused, ok := errors.AsType[*Error](err)
		if n != 0 || !ok || !errors.Is(err, c.kind) || refused.Done != c.done {
			t.Errorf("%s: %d bytes, %v; want %v after %d", name, n, err, c.kind, c.done)
		}
	}
	if err := fd.Wake(Range{start, start}); !errors.Is(err, ErrInvalid) {
		t.Errorf("Wake of nothing: %v", err)
	}
	if err := fd.Protect(pageRange(mem, 1)); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("WriteProtect of memory that is not registered: %v", err)
	}
}

// A page that is there makes no other page be left out, wherever it lies, in memory of any page size.
func TestNoPageIsLeftOut(t *testing.T) {
	if parentOf(t) {
		testproc.HugePages(t, hugePagesWanted, false)
	}
	if !inChild(t) {
		return
	}
	for _, kind := range []MemoryKind{MemoryAnonymous, MemoryHugetlbPrivate} {
		t.Run(string(kind), func(t *testing.T) {
			needsMode(t, kind, ModeMissing)
			const pages = 4
			for present := range 1 << pages {
				noPageIsLeftOut(t, newArea(t, kind, pages), present)
			}
		})
	}
}

func noPageIsLeftOut(t *testing.T, a area, present int) {
	t.Helper()
	defer a.unmap(t)
	fd := openTest(t)
	register(t, fd, a.mem, ModeMissing)
	missing := a.pages()
	for n := range a.pages() {
		if present>>n&1 == 0 {
			continue
		}
		missing--
		if _, err := fd.Copy(a.pageRange(n).Start, a.pattern(9), 0); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := fd.Copy(a.rng().Start, bytes.Repeat(a.pattern(7), a.pages()), 0); n != missing*a.size || err != nil {
		t.Errorf("present %04b: %d bytes, %v; want %d pages", present, n, err, missing)
	}
	if err := fd.Unregister(a.rng()); err != nil {
		t.Fatal(err)
	}
	for n := range a.pages() {
		want := byte(7)
		if present>>n&1 != 0 {
			want = 9
		}
		if got := a.page(n)[0]; got != want {
			t.Errorf("present %04b: page %d holds %d, want %d", present, n, got, want)
		}
	}
}
