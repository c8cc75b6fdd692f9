package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// wayPages is how many pages of each kind are touched.
const wayPages = 16

// tryWays has each way observe each kind of memory.
func tryWays(dir string) []Way {
	var ways []Way
	for _, d := range []profiler.Delivery{profiler.DeliveryThread, profiler.DeliverySignal, profiler.DeliveryObserve} {
		way := Way{Delivery: d.String(), Seen: []Seen{}}
		p, err := profiler.New(profiler.WithDelivery(d), profiler.WithFailingSystemCalls(), stopLimit)
		if err != nil {
			way.Reason = err.Error()
			ways = append(ways, way)
			continue
		}
		way.Failing = p.Snapshot().Stats.UserModeOnly
		for _, k := range wayKinds {
			s := Seen{Kind: k.name}
			if s.Seen, s.Made, err = k.try(p, filepath.Join(dir, d.String())); err != nil {
				s.Not = err.Error()
			}
			way.Seen = append(way.Seen, s)
		}
		way.Touch = timeOfTouch(p)
		if err := p.Close(); err != nil {
			way.Reason = "it did not end: " + err.Error()
		}
		ways = append(ways, way)
	}
	return ways
}

// timeOfTouch is the mean of the pages of an arena, or 0.
func timeOfTouch(p *profiler.Profiler) time.Duration {
	const pages = 512
	r, err := p.NewArena("trial time", pages*os.Getpagesize())
	if err != nil {
		return 0
	}
	defer r.Close()
	start := time.Now()
	touchPages(r.Bytes())
	return time.Since(start) / pages
}

// wayKinds are kinds of memory, each with a trial that says how many of the first touches it made were seen.
var wayKinds = []struct {
	name string
	try  func(p *profiler.Profiler, path string) (seen, made uint64, err error)
}{
	{"an arena", func(p *profiler.Profiler, _ string) (seen, made uint64, err error) {
		r, err := p.NewArena("trial way", wayPages*os.Getpagesize())
		if err != nil {
			return 0, 0, err
		}
		return touched(p, r, r.Bytes(), r.Close)
	}},
	{"an arena in a system call (write)", func(p *profiler.Profiler, _ string) (seen, made uint64, err error) {
		r, err := p.NewArena("trial way of system calls", wayPages*os.Getpagesize())
		if err != nil {
			return 0, 0, err
		}
		defer r.Close()
		f, err := os.CreateTemp("", "")
		if err != nil {
			return 0, 0, err
		}
		defer os.Remove(f.Name())
		defer f.Close()
		for i := range wayPages {
			if _, err := unix.Write(int(f.Fd()), r.Bytes()[i*os.Getpagesize():][:8]); err != nil {
				return 0, 0, fmt.Errorf("%s: %w", callFails, err)
			}
		}
		return seenOf(p, r), wayPages, nil
	}},
	{"an arena that is armed again (windows)", func(p *profiler.Profiler, _ string) (seen, made uint64, err error) {
		r, err := p.NewArena("trial way again", wayPages*os.Getpagesize())
		if err != nil {
			return 0, 0, err
		}
		touchPages(r.Bytes())
		before := seenOf(p, r)
		if err := r.Rearm(); err != nil {
			return 0, 0, errors.Join(err, r.Close())
		}
		seen, made, err = touched(p, r, r.Bytes(), r.Close)
		return seen - before, made, err
	}},
	{"a file that a library mapped, from the disk", func(p *profiler.Profiler, path string) (seen, made uint64, err error) {
		return tryWayFile(p, path+"-cold", unix.MAP_SHARED, true)
	}},
	{"a file that a library mapped, from the page cache", func(p *profiler.Profiler, path string) (seen, made uint64, err error) {
		return tryWayFile(p, path+"-cached", unix.MAP_SHARED, false)
	}},
	{"a private mapping of a file", func(p *profiler.Profiler, path string) (seen, made uint64, err error) {
		return tryWayFile(p, path+"-private", unix.MAP_PRIVATE, false)
	}},
	{"private memory that holds something", func(p *profiler.Profiler, _ string) (seen, made uint64, err error) {
		return tryWayMemory(p, unix.MAP_PRIVATE)
	}},
	{"shared memory that holds something", func(p *profiler.Profiler, _ string) (seen, made uint64, err error) {
		return tryWayMemory(p, unix.MAP_SHARED)
	}},
	{"writes alone, to private memory", func(p *profiler.Profiler, _ string) (seen, made uint64, err error) {
		return tryWayMemory(p, unix.MAP_PRIVATE, profiler.WithWritesOnly())
	}},
	{"the Go heap, a sixteenth of it", func(p *profiler.Profiler, _ string) (seen, made uint64, err error) {
		r, err := p.AttachGoHeap(profiler.WithHeapShare(1. / 16))
		if err != nil {
			return 0, 0, err
		}
		return 0, 0, r.Close() // what it meets of it is not in the trial's hand
	}},
}

func tryWayFile(p *profiler.Profiler, path string, flags int, cold bool) (seen, made uint64, err error) {
	page := os.Getpagesize()
	text := make([]byte, wayPages*page)
	for i := range text {
		text[i] = byte(i / page)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return 0, 0, err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	advice := unix.MADV_NORMAL
	if cold {
		if err := errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)); err != nil {
			return 0, 0, err
		}
		advice = unix.MADV_RANDOM // else one read brings all of it
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, len(text), unix.PROT_READ, flags)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, unix.Munmap(mem)) }()
	if err := unix.Madvise(mem, advice); err != nil {
		return 0, 0, err
	}
	if flags == unix.MAP_PRIVATE {
		r, err := p.AttachMemory(path, mem)
		if err != nil {
			return 0, 0, err
		}
		return touched(p, r, mem, r.Close)
	}
	r, err := p.AttachFile(path)
	if err != nil {
		return 0, 0, err
	}
	return touched(p, r, mem, r.Close)
}

func tryWayMemory(p *profiler.Profiler, flags int, opts ...profiler.RegionOption) (seen, made uint64, err error) {
	mem, err := unix.Mmap(-1, 0, wayPages*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_ANONYMOUS)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, unix.Munmap(mem)) }()
	for i := range mem {
		mem[i] = 1
	}
	r, err := p.AttachMemory("trial way of memory", mem, opts...)
	if err != nil {
		return 0, 0, err
	}
	for i := 0; len(opts) > 0 && i < len(mem); i += os.Getpagesize() {
		mem[i] = 2
	}
	return touched(p, r, mem, r.Close)
}

// touched reads each page once, and returns how many of that were seen.
func touched(p *profiler.Profiler, r *profiler.Region, mem []byte, end func() error) (seen, made uint64, err error) {
	touchPages(mem)
	seen = seenOf(p, r)
	return seen, uint64(len(mem) / os.Getpagesize()), end()
}

func seenOf(p *profiler.Profiler, r *profiler.Region) uint64 {
	p.Flush()
	return p.Snapshot().RegionOf(r.ID()).Faults
}

// touchPages returns a sum, so that the reads are not left out.
//
//go:noinline
func touchPages(mem []byte) (sum byte) {
	for i := 0; i < len(mem); i += os.Getpagesize() {
		sum += mem[i]
	}
	return sum
}
