//go:build linux && (amd64 || arm64)

package bench

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// kernelFile touches a plain mapping of a file that is in the page cache. With fault-around, the
// kernel maps up to 64 KiB at the first touch.
func kernelFile(advice int) func(*rig, load) (result, error) {
	return func(r *rig, l load) (result, error) {
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

// peerFile has the plainest handler in C show the file, to one thread.
func peerFile(granule int) func(*rig, load) (result, error) {
	return func(r *rig, l load) (result, error) {
		if r.peer == "" {
			return result{skip: r.peerSkip}, nil
		}
		path := filepath.Join(r.dir, "overlay")
		if err := compilePeer(path, overlaySource); err != nil {
			return result{}, err
		}
		out, err := output(exec.Command(path, r.plain, strconv.Itoa(l.pages), strconv.Itoa(l.stride), strconv.Itoa(granule/pageSize)))
		if err != nil {
			return result{}, err
		}
		if faults := l.size() / max(granule, l.stride*pageSize); out.messages != faults {
			return result{}, fmt.Errorf("the C handler saw %d faults of %d", out.messages, faults)
		}
		return result{perPage: float64(out.wall) / float64(l.pages)}, nil
	}
}

// profiledFile has the profiler map the file, one fault opening so many bytes. It is the same file for all variants: where
// in memory it lies makes up to a factor of three, and so does who has read it last.
func profiledFile(granule int, stacks profiler.StackSampling, opts ...profiler.Option) func(*rig, load) (result, error) {
	return func(r *rig, l load) (res result, err error) {
		p, res, err := newProfiler(append(opts, profiler.WithStacks(stacks), profiler.WithGranule(granule))...)
		if p == nil {
			return res, err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		region, err := p.MapFile(r.plain, profiler.WithName("bench"))
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
