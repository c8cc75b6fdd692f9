//go:build linux && (amd64 || arm64)

package bench

import (
	"errors"
	"fmt"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// readFile has a variant's file in the processor's caches as the other variants have theirs.
func readFile(path string, size int) error {
	b, err := mapFile(path, size)
	if err != nil {
		return err
	}
	fetch(b, 64)
	return unix.Munmap(b)
}

// kernelFile touches a plain mapping of a file that is in the page cache. With fault-around, the
// kernel maps up to 64 KiB at the first touch.
func kernelFile(advice int) func(*rig, load) (result, error) {
	return func(r *rig, l load) (result, error) {
		if err := readFile(r.plain, l.size()); err != nil {
			return result{}, err
		}
		b, err := mapFile(r.plain, l.size())
		if err != nil {
			return result{}, err
		}
		if err := unix.Madvise(b, advice); err != nil {
			return result{}, fmt.Errorf("madvise: %w", err)
		}
		res := touch(b, nil, l)
		return res, unix.Munmap(b)
	}
}

// profiledFile has the profiler map the file, one fault opening so many bytes.
func profiledFile(granule int, stacks profiler.StackSampling, opts ...profiler.Option) func(*rig, load) (result, error) {
	return func(r *rig, l load) (res result, err error) {
		if err := readFile(r.profiled, l.size()); err != nil {
			return result{}, err
		}
		p, res, err := newProfiler(append(opts, profiler.WithStacks(stacks), profiler.WithGranule(granule))...)
		if p == nil {
			return res, err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		region, err := p.MapFile(r.profiled, profiler.WithName("bench"))
		if err != nil {
			return result{}, err
		}
		res = touch(region.Bytes()[:l.size()], nil, l)
		faults := uint64(l.size() / max(granule, l.stride*pageSize))
		if err := p.check("bench", faults, stacks == profiler.StacksEvery()); err != nil {
			return result{}, err
		}
		for _, g := range p.Snapshot().Groups {
			if g.Source != profiler.SourcePageCache {
				return result{skip: "the file did not stay in the page cache"}, nil
			}
		}
		return res, nil
	}
}
