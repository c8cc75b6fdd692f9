package uffd

import (
	"errors"
	"fmt"
)

// The Have functions ask the kernel by the smallest real use of what they ask about. They answer
// nil, an error that matches ErrNotSupported, or any other error where the question could not be
// put (no memory, no descriptors left). Nothing is cached: sysctls and limits change.

// HavePath asks whether a descriptor can be had in this way.
func HavePath(path OpenPath) error {
	_, _, err := choosePath([]OpenPath{path})
	return err
}

// HaveFeatures asks whether the kernel offers all of these.
func HaveFeatures(want Features) error {
	c, err := newConfig(nil)
	if err != nil {
		return err
	}
	_, kernel, err := choosePath(c.paths)
	if err != nil {
		return err
	}
	return checkOffered(want, Features(kernel.Features))
}

// HaveRegister asks whether Register takes this kind of memory in these modes, on a descriptor with
// these features, and which ioctls the range then takes.
func HaveRegister(kind MemoryKind, mode RegisterMode, features Features) (IoctlSet, error) {
	p, err := newProbeMemory(kind)
	if err != nil {
		return 0, err
	}
	defer p.close()
	fd, err := Open(WithFeatures(features))
	if err != nil {
		return 0, err
	}
	defer fd.Close()
	ioctls, err := fd.Register(RangeOf(p.mem), mode)
	if errors.Is(err, ErrInvalid) {
		return 0, fmt.Errorf("%s memory: %w: %w", kind, ErrNotSupported, err)
	}
	return ioctls, err
}

// HaveIoctl asks whether an ioctl such as IoctlMove works, by using it on a page of memory that
// every kernel with this ioctl takes. IoctlPagemapScan is asked on the calling process.
func HaveIoctl(request Ioctl) error {
	for _, p := range ioctlProbes {
		if p.request == request {
			return p.run()
		}
	}
	return fmt.Errorf("%w: no probe for ioctl %#x", ErrInvalid, request)
}
