package uffd

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// scanner asks about the pages of an area by their numbers.
type scanner struct {
	t *testing.T
	a area
	p *Pagemap
}

// span is pages [from, to) of an area, with categories.
type span struct {
	from, to   int
	categories Categories
}

// conformPagemapScan holds PAGEMAP_SCAN on memory whose writes the kernel itself tracks.
func conformPagemapScan(t *testing.T, kind MemoryKind) {
	needs(t, FeatureWPAsync)
	a := newArea(t, kind, 8)
	for n := range a.pages() {
		a.page(n)[0] = 1
	}
	s := scanner{t, a, openPagemap(t)}
	s.wantEPERM("before Register")
	fd := a.open(t, WithFeatures(FeatureWPAsync), WithOptionalFeatures(FeatureWPUnpopulated))
	if _, err := fd.Register(a.rng(), ModeWP); err != nil {
		t.Fatal(err)
	}
	if err := fd.Protect(a.rng()); err != nil {
		t.Fatal(err)
	}
	written := ScanQuery{All: PageIsWritten, Return: PageIsWritten}
	s.want("nothing written", 0, 8, written)
	for _, n := range []int{1, 2, 5, 7} {
		a.page(n)[1] = 2
	}
	w := PageIsWritten
	s.want("whole", 0, 8, written, span{1, 3, w}, span{5, 6, w}, span{7, 8, w})
	s.want("partial", 2, 6, written, span{2, 3, w}, span{5, 6, w})
	s.want("inverted", 0, 8, ScanQuery{All: w, Inverted: w, Return: w}, span{0, 1, 0}, span{3, 5, 0}, span{6, 7, 0})
	s.want("any", 0, 8, ScanQuery{Any: w | PageIsPFNZero, Return: w}, span{1, 3, w}, span{5, 6, w}, span{7, 8, w})
	s.limits(w)
	s.categories(fd)
	// Reported once, and protected in the same step.
	written.Flags = ScanWPMatching | ScanCheckWPAsync
	s.want("matching, the first half", 0, 4, written, span{1, 3, w})
	s.want("matching", 0, 8, written, span{5, 6, w}, span{7, 8, w})
	s.want("matching again", 0, 8, written)
	a.page(3)[1] = 3
	s.want("written after it was reported", 0, 8, written, span{3, 4, w})
	if n, err := fd.TryRead(make([]Msg, 1)); n != 0 || err != nil {
		t.Errorf("%d messages, %v: the kernel resolves these faults itself", n, err)
	}
	noErr(t, "unregister", fd.Unregister(a.rng()))
	s.wantEPERM("after Unregister")
	if kind == MemoryAnonymous {
		hugeCategory(t)
	}
}

func openPagemap(t *testing.T) *Pagemap {
	t.Helper()
	p, err := OpenPagemap(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { noErr(t, "close", p.Close()) })
	return p
}

func (s scanner) rng(from, to int) Range {
	start := s.a.rng().Start
	return Range{start + Addr(from*s.a.size), start + Addr(to*s.a.size)}
}

func (s scanner) span(r PageRegion) span {
	start, size := s.a.rng().Start, Addr(s.a.size)
	return span{int((r.Start - start) / size), int((r.End - start) / size), r.Categories}
}

// want scans with a buffer of one region and with a large one: the answers have to be one.
func (s scanner) want(what string, from, to int, q ScanQuery, want ...span) {
	s.t.Helper()
	lengths := []int{1, 16}
	if q.Flags&ScanWPMatching != 0 {
		lengths = lengths[:1] // a second scan finds nothing
	}
	for _, length := range lengths {
		var got []span
		err := s.p.Scan(s.rng(from, to), q, make([]PageRegion, length), func(regions []PageRegion) bool {
			for _, r := range regions {
				got = append(got, s.span(r))
			}
			return true
		})
		if err != nil || !slices.Equal(got, want) {
			s.t.Errorf("%s, %d at a time: %v, %v, want %v", what, length, got, err, want)
		}
	}
}

func (s scanner) wantEPERM(when string) {
	s.t.Helper()
	q := ScanQuery{Flags: ScanCheckWPAsync | ScanWPMatching, Return: PageIsWritten}
	err := s.p.Scan(s.rng(0, 8), q, make([]PageRegion, 1), func([]PageRegion) bool { return true })
	if !isErr(err, ErrPermission, unix.EPERM) {
		s.t.Errorf("%s: %v, want EPERM", when, err)
	}
}

// limits holds where one ioctl stops: by the number of pages, by the vector, and at the end. It stops
// before the first page that would be one too many, and not behind the last that was not.
func (s scanner) limits(w Categories) {
	s.t.Helper()
	base := uint64(s.a.size / PageSize()) // the kernel counts in base pages
	for _, c := range []struct {
		name        string
		maxPages    uint64
		vec, walked int
		want        []span
	}{
		{"no limit", 0, 8, 8, []span{{1, 3, w}, {5, 6, w}, {7, 8, w}}},
		{"one page", base, 8, 2, []span{{1, 2, w}}},
		{"two pages", 2 * base, 8, 5, []span{{1, 3, w}}},
		{"three pages", 3 * base, 8, 7, []span{{1, 3, w}, {5, 6, w}}},
		{"one region", 0, 1, 5, []span{{1, 3, w}}},
		{"two regions", 0, 2, 7, []span{{1, 3, w}, {5, 6, w}}},
	} {
		whole := s.rng(0, 8)
		arg := pagemapScanArg{
			Start: uint64(whole.Start), End: uint64(whole.End), MaxPages: c.maxPages,
			CategoryMask: uint64(w), ReturnMask: uint64(w),
		}
		buf := make([]PageRegion, c.vec)
		// The finishing form has the same limit, whatever fits into buf.
		query := ScanQuery{All: w, Return: w, MaxPages: int(c.maxPages)}
		var all []span
		noErr(s.t, c.name, s.p.Scan(whole, query, make([]PageRegion, 1), func(regions []PageRegion) bool {
			all = append(all, s.span(regions[0]))
			return true
		}))
		if c.vec == 8 && !slices.Equal(all, c.want) {
			s.t.Errorf("%s: Scan has %v, want %v", c.name, all, c.want)
		}
		n, errno := s.p.rawScan(&arg, buf)
		var got []span
		for _, r := range buf[:n] {
			got = append(got, s.span(r))
		}
		walked := s.span(PageRegion{Range: Range{Addr(arg.WalkEnd), Addr(arg.WalkEnd)}}).from
		if errno != 0 || walked != c.walked || !slices.Equal(got, c.want) {
			s.t.Errorf("%s: %v up to %d, %v; want %v up to %d", c.name, got, walked, errno, c.want, c.walked)
		}
	}
}

// categories asks for each category by itself.
func (s scanner) categories(fd *FD) {
	s.t.Helper()
	a, all := s.a, span{0, 8, 0}
	file := a.kind != MemoryAnonymous && a.kind != MemoryHugetlbPrivate && a.kind != MemoryMemfdPrivate
	for category, have := range map[Categories]bool{
		PageIsWPAllowed: true, PageIsPresent: true, PageIsSwapped: false, PageIsPFNZero: false,
		PageIsFile: file, PageIsHuge: a.huge(),
	} {
		want := []span{}
		if have {
			all.categories = category
			want = append(want, all)
		}
		s.want(category.String(), 0, 8, ScanQuery{All: category, Return: category}, want...)
	}
	for category, mark := range map[Categories]func(page []byte) error{
		PageIsSoftDirty: func([]byte) error { return nil },
		PageIsGuard:     func(page []byte) error { return unix.Madvise(page, 102) }, // MADV_GUARD_INSTALL, Linux 6.13
	} {
		other := newArea(s.t, a.kind, 1)
		err := mark(other.mem)
		if err == nil {
			err = s.p.Scan(other.rng(), ScanQuery{All: category, Return: category}, make([]PageRegion, 1), func([]PageRegion) bool { return true })
		}
		// Of huge pages and, in some kernels, of files there are no guard regions: no page to ask about.
		if category == PageIsGuard && errors.Is(err, unix.EINVAL) && HaveIoctl(IoctlPagemapScan) == nil && a.kind != MemoryAnonymous {
			continue
		}
		if err != nil {
			leaveOut(s.t, category.String(), err)
			continue
		}
		if category == PageIsGuard {
			s.wantOne(other, category)
		}
	}
	s.unpopulated(fd)
}

// wantOne wants a category of the only page of an area.
func (s scanner) wantOne(other area, category Categories) {
	s.t.Helper()
	one := scanner{s.t, other, s.p}
	one.want(category.String(), 0, 1, ScanQuery{All: category, Return: category}, span{0, 1, category})
}

// unpopulated: a page that is not there counts as written, and as swapped once a marker protects it;
// anonymous memory may be the kernel's page of zeros, which it uses where UFFDIO_ZEROPAGE asks for it, and for
// reads where it likes.
func (s scanner) unpopulated(fd *FD) {
	s.t.Helper()
	if s.a.kind == MemoryAnonymous {
		zeros := newArea(s.t, s.a.kind, 1)
		register(s.t, fd, zeros.mem, ModeMissing)
		_, err := fd.Zeropage(zeros.rng(), 0)
		noErr(s.t, "zeropage", err)
		if zeros.mem[0] != 0 {
			s.t.Error("not zero")
		}
		s.wantOne(zeros, PageIsPFNZero)
	}
	if s.a.kind == MemoryFile || !fd.Enabled().Has(FeatureWPUnpopulated) {
		return
	}
	marked := newArea(s.t, s.a.kind, 1)
	register(s.t, fd, marked.mem, ModeWP)
	noErr(s.t, "protect", fd.Protect(marked.rng()))
	s.wantOne(marked, PageIsSwapped)
	one := scanner{s.t, marked, s.p}
	one.want("a marker", 0, 1, ScanQuery{All: PageIsWritten, Return: PageIsWritten})
}

// hugeCategory: anonymous memory may be of huge pages too.
func hugeCategory(t *testing.T) {
	t.Helper()
	size := hugeSize()
	if size == 0 {
		leaveOut(t, "HUGE", "the kernel has no transparent huge pages, or never uses them")
		return
	}
	a := aligned(t, size)
	a.mem[0] = 1
	if !isHuge(t, a.mem) {
		leaveOut(t, "HUGE", "the kernel gave none")
	}
}
