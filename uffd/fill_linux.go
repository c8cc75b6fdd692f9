package uffd

import "golang.org/x/sys/unix"

// The fills of this file finish their range: they go on after a partial result, and where a page is
// there already they leave it, wake its waiters (whom nobody has woken: the kernel answers EEXIST)
// and go on behind it. On success every page of the range is present and, without Dontwake, nobody
// waits. They return the bytes that this call itself filled, which may be less than the range.
//
// A failure is an *Error whose Done says how far the range is finished. ErrEventPending is not
// retried: only a reader of the descriptor can end it, and that may be the caller.

// Copy fills the pages at dst with src, whose length must be a multiple of the page size. The mode
// is made of CopyMode bits.
func (f *FD) Copy(dst Addr, src []byte, mode uint64) (int, error) {
	r, ok := RangeAt(dst, uintptr(len(src)))
	if !ok {
		return 0, newError("UFFDIO_COPY", Range{Start: dst, End: dst}, 0, unix.EINVAL)
	}
	from := escapedAddr(src)
	return f.fill("UFFDIO_COPY", r, mode&CopyModeDontwake != 0, func(rest Range) (int64, unix.Errno) {
		arg := CopyArg{
			Dst: uint64(rest.Start), Src: uint64(from + rest.Start - dst), Len: uint64(rest.Len()), Mode: mode,
		}
		errno := f.RawCopy(&arg)
		return arg.Copy, errno
	}, src)
}

// Zeropage fills r with zeros. Huge pages do not take it. The mode is made of ZeropageMode bits.
func (f *FD) Zeropage(r Range, mode uint64) (int, error) {
	return f.fill("UFFDIO_ZEROPAGE", r, mode&ZeropageModeDontwake != 0, func(rest Range) (int64, unix.Errno) {
		arg := ZeropageArg{Range: rangeArg(rest), Mode: mode}
		errno := f.RawZeropage(&arg)
		return arg.Zeropage, errno
	}, nil)
}

// Move takes the pages of the private anonymous memory at src away, without copying, to as many
// bytes at dst. Where dst has a page already, the source keeps its own. A page that the source does
// not have is ErrNotRegistered, unless MoveModeAllowSrcHoles skips it (the hole counts as moved). A
// page that is pinned or shared with another process is ErrBusy. The mode is made of MoveMode bits.
func (f *FD) Move(dst Addr, src Range, mode uint64) (int, error) {
	r, ok := RangeAt(dst, src.Len())
	if !ok {
		return 0, newError("UFFDIO_MOVE", Range{Start: dst, End: dst}, 0, unix.EINVAL)
	}
	return f.fill("UFFDIO_MOVE", r, mode&MoveModeDontwake != 0, func(rest Range) (int64, unix.Errno) {
		arg := MoveArg{
			Dst: uint64(rest.Start), Src: uint64(src.Start + rest.Start - dst), Len: uint64(rest.Len()), Mode: mode,
		}
		errno := f.RawMove(&arg)
		return arg.Move, errno
	}, nil)
}

// Continue maps the pages that the file behind r has in its page cache: the answer to a minor
// fault. Where the file has none it is ErrFault. The mode is made of ContinueMode bits.
func (f *FD) Continue(r Range, mode uint64) (int, error) {
	return f.fill("UFFDIO_CONTINUE", r, mode&ContinueModeDontwake != 0, func(rest Range) (int64, unix.Errno) {
		arg := ContinueArg{Range: rangeArg(rest), Mode: mode}
		errno := f.RawContinue(&arg)
		return arg.Mapped, errno
	}, nil)
}

// fill repeats once on what is left of r until nothing is. keep stays reachable until then.
func (f *FD) fill(op string, r Range, dontwake bool, once func(rest Range) (int64, unix.Errno), keep []byte) (int, error) {
	filled := 0
	for rest := r; ; {
		done, errno := once(rest)
		switch {
		case done > 0: // whole or partial; the kernel woke the waiters of this part
			filled += int(done)
			rest.Start += Addr(done)
		case errno == unix.EEXIST:
			page := Range{rest.Start, min(rest.Start+Addr(f.pageSize), rest.End)}
			if !dontwake {
				if err := f.Wake(page); err != nil {
					return filled, err
				}
			}
			rest.Start = page.End
		default:
			return filled, newError(op, r, int64(rest.Start-r.Start), errno)
		}
		if rest.Start >= rest.End {
			keepAlive(keep)
			return filled, nil
		}
	}
}

// Poison makes every access to the pages of r a SIGBUS, as for memory with a hardware error. It
// returns the bytes poisoned. Unlike the other fills it stops at a page that is already there, with
// ErrExist: going on would leave a page that reads well. The mode is made of PoisonMode bits.
func (f *FD) Poison(r Range, mode uint64) (int, error) {
	for rest := r; ; {
		arg := PoisonArg{Range: rangeArg(rest), Mode: mode}
		errno := f.RawPoison(&arg)
		if arg.Updated <= 0 {
			done := int(rest.Start - r.Start)
			return done, newError("UFFDIO_POISON", r, int64(done), errno)
		}
		if rest.Start += Addr(arg.Updated); rest.Start >= rest.End {
			return int(r.Len()), nil
		}
	}
}
