package uffd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ioctlProbe is one use of one ioctl.
type ioctlProbe struct {
	request uint32
	kind    MemoryKind
	mode    RegisterMode
	use     func(f *FD, p probeMemory, page Range) error
}

var ioctlProbes = []ioctlProbe{
	{IoctlWake, MemoryAnonymous, ModeMissing, func(f *FD, _ probeMemory, page Range) error { return f.Wake(page) }},
	{IoctlCopy, MemoryAnonymous, ModeMissing, func(f *FD, _ probeMemory, page Range) error {
		_, err := f.Copy(page.Start, make([]byte, page.Len()), 0)
		return err
	}},
	{IoctlZeropage, MemoryAnonymous, ModeMissing, func(f *FD, _ probeMemory, page Range) error {
		_, err := f.Zeropage(page, 0)
		return err
	}},
	{IoctlMove, MemoryAnonymous, ModeMissing, probeMove},
	{IoctlWriteProtect, MemoryAnonymous, ModeWP, func(f *FD, _ probeMemory, page Range) error {
		return f.WriteProtect(page, WriteProtectModeWP)
	}},
	{IoctlContinue, MemoryMemfd, ModeMinor, func(f *FD, p probeMemory, page Range) error {
		p.alias[0] = 1 // gives the file its page
		_, err := f.Continue(page, 0)
		return err
	}},
	{IoctlPoison, MemoryAnonymous, ModeMissing, func(f *FD, _ probeMemory, page Range) error {
		_, err := f.Poison(page, 0)
		return err
	}},
}

func probeMove(f *FD, _ probeMemory, page Range) error {
	source, err := newProbeMemory(MemoryAnonymous)
	if err != nil {
		return err
	}
	defer source.close()
	source.mem[0] = 1
	_, err = f.Move(page.Start, RangeOf(source.mem), 0)
	return err
}

func (i ioctlProbe) run() error {
	p, err := newProbeMemory(i.kind)
	if err != nil {
		return err
	}
	defer p.close()
	fd, err := Open()
	if err != nil {
		return err
	}
	defer fd.Close()
	page := RangeOf(p.mem)
	if _, err = fd.Register(page, i.mode); err == nil {
		err = i.use(fd, p, page)
	}
	// The page is right, so what the kernel calls invalid is the request.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) {
		return fmt.Errorf("%w: %w", ErrNotSupported, err)
	}
	return err
}
