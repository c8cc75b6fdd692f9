package uffd

import "golang.org/x/sys/unix"

// The fills of this file finish their range: they go on after a partial result, and where a page is
// there already they leave it, wake its waiters (whom nobody has woken: the kernel answers EEXIST)
// and go on behind it, page by page, whatever the size of the memory's pages is. On success every
// page of the range is present and, without Dontwake, nobody waits. They return the bytes that this
// call itself filled, which may be less than the range.
//
// A failure is an *Error whose Done says how far the range is finished. ErrAgain comes only to a
// descriptor with an event feature: see there what ends it.

// Copy fills the pages at dst with src, whose length must be a multiple of the page size (UFFDIO_COPY).
//
// Errors: ErrAgain, ErrNotRegistered (all of it must lie in one mapping that is registered), ErrInvalid (the range, the
// mode, CopyModeWP without ModeWP), ErrFault (src cannot be read, or dst is beyond the end of its file), ErrNoMemory
// (also a full tmpfs or pool of huge pages), ErrGone, ErrClosed.
//
// Needs Linux 4.3.
func (f *FD) Copy(dst Addr, src []byte, mode CopyMode) (int, error) {
	r, ok := RangeAt(dst, uintptr(len(src)))
	if !ok {
		return 0, newError("UFFDIO_COPY", Range{Start: dst, End: dst}, 0, unix.EINVAL)
	}
	from := escapedAddr(src)
	return f.fill("UFFDIO_COPY", r, mode&CopyModeDontwake != 0, func(rest Range) (int64, unix.Errno) {
		arg := copyArg{
			Dst: uint64(rest.Start), Src: uint64(from + rest.Start - dst), Len: uint64(rest.Len()), Mode: mode,
		}
		errno := f.rawCopy(&arg)
		return arg.Copy, errno
	}, src)
}

// Zeropage fills r with zeros (UFFDIO_ZEROPAGE). Huge pages do not take it: ErrInvalid. A page that is protected and
// not there (FeatureWPUnpopulated) is left out, since the kernel takes its marker for a page: Copy zeros there.
//
// Errors: those of Copy.
//
// Needs Linux 4.3.
func (f *FD) Zeropage(r Range, mode ZeropageMode) (int, error) {
	return f.fill("UFFDIO_ZEROPAGE", r, mode&ZeropageModeDontwake != 0, func(rest Range) (int64, unix.Errno) {
		arg := zeropageArg{Range: toArg(rest), Mode: mode}
		errno := f.rawZeropage(&arg)
		return arg.Zeropage, errno
	}, nil)
}

// Move takes the pages of the private anonymous memory at src away, without copying, to as many
// bytes at dst (UFFDIO_MOVE). Where dst has a page already, the source keeps its own. With
// MoveModeAllowSrcHoles a page that the source does not have is skipped, and counts as moved: the
// result is no count of pages then. Move runs of pages: one page a call costs more than Copy.
//
// Errors: ErrNotRegistered (the source has no page there, or one of the sides is not mapped: the kernel does not say
// which), ErrInvalid (dst is mapped and not registered; the sides differ in protection, or one is locked in memory;
// either is no private anonymous memory of the calling process, or not one mapping), ErrBusy (a page of the source is
// pinned, or shared with a forked child), ErrAgain, ErrNoMemory, ErrClosed.
//
// Needs Linux 6.8.
func (f *FD) Move(dst Addr, src Range, mode MoveMode) (int, error) {
	r, ok := RangeAt(dst, src.Len())
	if !ok {
		return 0, newError("UFFDIO_MOVE", Range{Start: dst, End: dst}, 0, unix.EINVAL)
	}
	return f.fill("UFFDIO_MOVE", r, mode&MoveModeDontwake != 0, func(rest Range) (int64, unix.Errno) {
		arg := moveArg{
			Dst: uint64(rest.Start), Src: uint64(src.Start + rest.Start - dst), Len: uint64(rest.Len()), Mode: mode,
		}
		errno := f.rawMove(&arg)
		return arg.Move, errno
	}, nil)
}

// Continue maps the pages that the file behind r has in its page cache: the answer to a minor
// fault (UFFDIO_CONTINUE).
//
// Errors: ErrFault (the file has no page there), unix.EIO without a sentinel (the page's memory has an error), else
// those of Copy.
//
// Needs Linux 5.13, for shared memory 5.14.
func (f *FD) Continue(r Range, mode ContinueMode) (int, error) {
	return f.fill("UFFDIO_CONTINUE", r, mode&ContinueModeDontwake != 0, func(rest Range) (int64, unix.Errno) {
		arg := continueArg{Range: toArg(rest), Mode: mode}
		errno := f.rawContinue(&arg)
		return arg.Mapped, errno
	}, nil)
}

// fill repeats once on what is left of r until nothing is. keep stays reachable until then.
func (f *FD) fill(op string, r Range, dontwake bool, once func(rest Range) (int64, unix.Errno), keep []byte) (int, error) {
	var (
		filled  = 0
		present Range // pages that were there, next to each other, whose waiters are still asleep
		step    = Addr(PageSize())
		again   again
	)
	// One call wakes the waiters of all present pages in a row.
	wake := func() error {
		if dontwake || present.Len() == 0 {
			return nil
		}
		return f.Wake(present)
	}
	for rest := r; rest.Start < rest.End || rest == r; {
		done, errno := once(rest)
		switch {
		case done > 0: // whole or partial; the kernel woke the waiters of this part
			filled += int(done)
			rest.Start += Addr(done)
			if err := wake(); err != nil {
				return filled, err
			}
			present = Range{}
		case errno == unix.EEXIST:
			if present.Len() == 0 {
				present.Start = rest.Start
			}
			rest.Start = min(rest.Start+step, rest.End)
			present.End = rest.Start
		case errno == unix.EINVAL && present.Len() == uintptr(step) && present.Start.IsAligned(uintptr(2*step)):
			// The step led into the middle of a huge page, and no call tells the size of that.
			step *= 2
			rest.Start = min(present.Start+step, rest.End)
			present.End = rest.Start
		case errno == unix.EAGAIN && again.passes(f):
		default:
			if err := wake(); err != nil {
				return filled, err
			}
			return filled, newError(op, r, int64(rest.Start-r.Start), errno)
		}
	}
	keepAlive(keep)
	return filled, wake()
}

// Poison makes every access to the pages of r a SIGBUS, as for memory with a hardware error (UFFDIO_POISON). It
// returns the bytes poisoned. Unlike the other fills it stops at a page that is already there, or protected, with
// ErrExist: going on would leave a page that reads well. MADV_DONTNEED ends the poison.
//
// Errors: ErrExist, else those of Copy.
//
// Needs Linux 6.6.
func (f *FD) Poison(r Range, mode PoisonMode) (int, error) {
	var again again
	for rest := r; ; {
		arg := poisonArg{Range: toArg(rest), Mode: mode}
		errno := f.rawPoison(&arg)
		if errno == unix.EAGAIN && arg.Updated <= 0 && again.passes(f) {
			continue
		}
		if arg.Updated <= 0 {
			done := int(rest.Start - r.Start)
			return done, newError("UFFDIO_POISON", r, int64(done), errno)
		}
		if rest.Start += Addr(arg.Updated); rest.Start >= rest.End {
			return int(r.Len()), nil
		}
	}
}
