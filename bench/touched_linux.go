//go:build linux && (amd64 || arm64)

package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// walk reads memory that was touched before, in an order that neither the prefetcher nor the
// translation cache can follow.
type walk struct{ offsets []int32 }

// newWalk chooses a place in every page that the load touches.
func newWalk(l load) walk {
	random := rand.New(rand.NewPCG(1, 2))
	w := walk{make([]int32, l.pages)}
	for i, page := range random.Perm(l.pages) {
		w.offsets[i] = int32(page*l.stride*pageSize + random.IntN(pageSize))
	}
	return w
}

//go:noinline
func (w walk) read(b []byte) (sum byte) {
	for _, o := range w.offsets {
		sum += b[o]
	}
	return sum
}

// walks is how often a round reads each memory. The difference to be seen is none at all, so the
// two take turns.
const walks = 100

// compare reads plain and profiled memory in turns.
func (w walk) compare(plain, profiled []byte) (out [2]result) {
	for i := range 2 * walks {
		b, r := plain, &out[0]
		if i%2 != i/2%2 {
			b, r = profiled, &out[1]
		}
		start := time.Now()
		w.read(b)
		r.perPage += float64(time.Since(start)) / float64(len(w.offsets)*walks)
	}
	return out
}

// touchedArena compares an arena with plain memory, both written before.
func touchedArena(_ *rig, l load) (out [2]result, err error) {
	p, skip, err := newProfiler(profiler.WithStacks(profiler.StacksNone()))
	if p == nil {
		return [2]result{skip, skip}, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	region, err := p.NewArena("bench", l.size())
	if err != nil {
		return out, err
	}
	plain, err := mapArena(l.size())
	if err != nil {
		return out, err
	}
	defer unix.Munmap(plain)
	touch(plain, nil, l)
	touch(region.Bytes(), nil, l)
	out = newWalk(l).compare(plain, region.Bytes())
	return out, p.check("bench", uint64(l.pages), false)
}

// touchedMapped compares a file that the profiler mapped with a plain mapping of an equal file.
func touchedMapped(r *rig, l load) (out [2]result, err error) {
	p, skip, err := newProfiler(profiler.WithStacks(profiler.StacksNone()))
	if p == nil {
		return [2]result{skip, skip}, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	region, err := p.MapFile(r.profiled, profiler.WithName("bench"))
	if err != nil {
		return out, err
	}
	return p.touchedFile(r.plain, l, region.Bytes(), nil)
}

// touchedAttached does so for a mapping that was there before the profiler.
func touchedAttached(r *rig, l load) ([2]result, error) {
	return attached(r.plain, r.profiled, l, nil)
}

// touchedAtOnce is touchedAttached for files in large folios.
func touchedAtOnce(r *rig, l load) ([2]result, error) {
	return attached(r.atOnce[0], r.atOnce[1], l, nil)
}

// detachedAtOnce looks at such a file when its region is closed, dropped also after its owner has dropped
// the page tables and touched everything again.
func detachedAtOnce(dropped bool) func(*rig, load) ([2]result, error) {
	return func(r *rig, l load) ([2]result, error) {
		return attached(r.atOnce[0], r.atOnce[1], l, func(region *profiler.Region, b []byte) error {
			if err := region.Close(); err != nil || !dropped {
				return err
			}
			if err := unix.Madvise(b, unix.MADV_DONTNEED); err != nil {
				return fmt.Errorf("madvise: %w", err)
			}
			touch(b, nil, l)
			return nil
		})
	}
}

// attached touches everything, calls after with the region if that is not nil, and compares.
func attached(plain, profiled string, l load, after func(*profiler.Region, []byte) error) (out [2]result, err error) {
	b, err := mapFile(profiled, l.size())
	if err != nil {
		return out, err
	}
	defer unix.Munmap(b) // after the profiler has given it back
	p, skip, err := newProfiler(profiler.WithStacks(profiler.StacksNone()))
	if p == nil {
		return [2]result{skip, skip}, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	region, err := p.AttachFile(profiled, profiler.WithName("bench"))
	if err != nil {
		return out, err
	}
	if after == nil {
		return p.touchedFile(plain, l, b, nil)
	}
	return p.touchedFile(plain, l, b, func() error { return after(region, b[:l.size()]) })
}

func (p *running) touchedFile(path string, l load, profiled []byte, after func() error) (out [2]result, err error) {
	plain, err := mapFile(path, l.size())
	if err != nil {
		return out, err
	}
	defer unix.Munmap(plain)
	touch(plain, nil, l)
	touch(profiled[:l.size()], nil, l)
	if after != nil {
		if err := after(); err != nil {
			return out, err
		}
	}
	return newWalk(l).compare(plain, profiled), p.check("bench", uint64(l.pages), false)
}
