package uffd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ioctlProbe is one use of one ioctl.
type ioctlProbe struct {
	request Ioctl
	kind    MemoryKind
	mode    RegisterMode
	needs   Features
	use     func(f *FD, p probeMemory, page Range) error
}

var ioctlProbes = []ioctlProbe{
	{IoctlWake, MemoryAnonymous, ModeMissing, 0, func(f *FD, _ probeMemory, page Range) error { return f.Wake(page) }},
	{IoctlCopy, MemoryAnonymous, ModeMissing, 0, func(f *FD, _ probeMemory, page Range) error {
		_, err := f.Copy(page.Start, make([]byte, page.Len()), 0)
		return err
	}},
	{IoctlZeropage, MemoryAnonymous, ModeMissing, 0, func(f *FD, _ probeMemory, page Range) error {
		_, err := f.Zeropage(page, 0)
		return err
	}},
	{IoctlMove, MemoryAnonymous, ModeMissing, 0, probeMove},
	{IoctlWriteProtect, MemoryAnonymous, ModeWP, 0, func(f *FD, _ probeMemory, page Range) error {
		return f.Protect(page)
	}},
	{IoctlContinue, MemoryMemfd, ModeMinor, 0, func(f *FD, p probeMemory, page Range) error {
		p.alias[0] = 1 // gives the file its page
		_, err := f.Continue(page, 0)
		return err
	}},
	{IoctlPoison, MemoryAnonymous, ModeMissing, 0, func(f *FD, _ probeMemory, page Range) error {
		_, err := f.Poison(page, 0)
		return err
	}},
	{IoctlRWProtect, MemoryAnonymous, ModeRWP, FeatureRWP, func(f *FD, _ probeMemory, page Range) error {
		return f.RWProtect(page)
	}},
	{IoctlSetMode, MemoryAnonymous, ModeRWP, FeatureRWP | FeatureRWPAsync, func(f *FD, _ probeMemory, _ Range) error {
		return f.SetMode(0, FeatureRWPAsync)
	}},
	{IoctlPagemapScan, MemoryAnonymous, ModeWP, FeatureWPAsync, func(_ *FD, _ probeMemory, page Range) error {
		return probeScan(page)
	}},
}

// probeScan asks for the pages that were written to, and protects them.
func probeScan(page Range) error {
	p, err := OpenPagemap(0)
	if err != nil {
		return err
	}
	defer p.Close()
	q := ScanQuery{Flags: ScanWPMatching | ScanCheckWPAsync, All: PageIsWritten, Return: PageIsWritten}
	return p.Scan(page, q, make([]PageRegion, 1), func([]PageRegion) bool { return true })
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
	fd, err := Open(WithFeatures(i.needs))
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
