//go:build linux && (amd64 || arm64)

package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// childEnv makes this program touch memory as its value says, and report.
const childEnv = "FIRSTTOUCH_BENCH_TOUCH"

// task is what a child does.
type task struct {
	Cell   cell
	File   string // empty for an arena
	Mode   string // of our profiler, see modes; empty for none
	Simple bool   // as kernelArena does: no touch is timed
}

// answer is what a child prints.
type answer struct {
	observation
	Used time.Duration // processor time of the whole process
}

// modes are the ways of our profiler that are compared: one line each.
var modes = map[string][]profiler.Option{
	"without stacks":         {profiler.WithStacks(profiler.StacksNone())},
	"every stack":            {profiler.WithStacks(profiler.StacksEvery())},
	"by signal, every stack": {profiler.WithDelivery(profiler.DeliverySignal), profiler.WithStacks(profiler.StacksEvery())},
}

// Child serves a process that a benchmark started. A program that calls Report, or runs the
// benchmarks, calls it first; it returns when there is nothing to serve.
func Child() {
	spec := os.Getenv(childEnv)
	if spec == "" {
		return
	}
	var t task
	err := json.Unmarshal([]byte(spec), &t)
	if err == nil {
		var a answer
		if a.observation, err = t.run(); err == nil {
			a.Used = processorTime()
			err = json.NewEncoder(os.Stdout).Encode(a)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (t task) run() (observation, error) {
	if t.Mode != "" {
		return t.profiled()
	}
	size := t.Cell.load().size()
	b, err := t.plain(size)
	if err != nil {
		return observation{}, err
	}
	if t.Simple {
		res, err := touchFresh(b, t.Cell.load())
		return observation{PerPage: res.perPage}, err
	}
	return touchTimed(b, t.Cell), nil
}

// childBase is where a child maps plain memory, so that an observer can tell its faults from others.
const childBase = 0x100000000000

// plain maps what the cell asks for, unprofiled.
func (t task) plain(size int) ([]byte, error) {
	prot, flags, fd := unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE, -1
	if t.File != "" {
		f, err := os.Open(t.File)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		prot, flags, fd = unix.PROT_READ, unix.MAP_SHARED, int(f.Fd())
	}
	const fixedNoreplace = 0x100000 // MAP_FIXED_NOREPLACE, include/uapi/asm-generic/mman-common.h
	p, err := unix.MmapPtr(fd, 0, unsafe.Add(unsafe.Pointer(nil), childBase), uintptr(size), prot, flags|fixedNoreplace)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	b := unsafe.Slice((*byte)(p), size)
	if t.File == "" {
		// EINVAL: a kernel without huge pages.
		if err := unix.Madvise(b, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
			return nil, fmt.Errorf("madvise: %w", err)
		}
	}
	return b, nil
}

// profiled has our profiler observe the cell.
func (t task) profiled() (o observation, err error) {
	p, skip, err := newProfiler(append(modes[t.Mode], profiler.WithGranule(t.Cell.Granule))...)
	if p == nil {
		return observation{Skip: skip.skip}, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	var region *profiler.Region
	if t.File == "" {
		region, err = p.NewArena("bench", t.Cell.load().size())
	} else {
		region, err = p.MapFile(t.File, profiler.WithName("bench"))
	}
	if errors.Is(err, profiler.ErrNotSupported) {
		return observation{Skip: err.Error()}, nil
	}
	if err != nil {
		return o, err
	}
	o = touchTimed(region.Bytes(), t.Cell)
	s := p.Snapshot()
	o.Seen = int(s.Region("bench").Faults)
	if lost := s.Stats.Faults - s.Stats.Records - s.Stats.Dropped; lost != 0 || o.Seen != t.Cell.granules() {
		return o, fmt.Errorf("%s, %s: %d faults seen of %d, %d neither recorded nor counted", t.Cell, t.Mode, o.Seen, t.Cell.granules(), lost)
	}
	return o, nil
}
