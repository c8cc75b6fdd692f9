//go:build linux && (amd64 || arm64)

package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

const goroutines = 3 // to each region

// region is profiled memory, and what the first word of each page holds.
type region struct {
	region *profiler.Region
	memory []byte
	words  []uint64
	write  bool
	passes [goroutines]uint64
}

var page = os.Getpagesize()

// regions makes one of each kind.
func regions(p *profiler.Profiler, dir string, pages int) (list []*region, err error) {
	size := pages * page
	add := func(r *profiler.Region, memory []byte, write bool) {
		words := make([]uint64, pages)
		for i := range words {
			words[i] = binary.NativeEndian.Uint64(memory[i*page:])
		}
		list = append(list, &region{region: r, memory: memory, words: words, write: write})
	}
	arena, err := p.NewArena("arena", size)
	if err != nil {
		return nil, err
	}
	arenaMemory := arena.Bytes()
	mappedPath, attachedPath := filepath.Join(dir, "mapped"), filepath.Join(dir, "attached")
	for _, path := range []string{mappedPath, attachedPath} {
		if err := os.WriteFile(path, numbered(size), 0o600); err != nil {
			return nil, err
		}
	}
	mapped, err := p.MapFile(mappedPath)
	if err != nil {
		return nil, err
	}
	attachedMemory, err := mapShared(attachedPath, size)
	if err != nil {
		return nil, err
	}
	attached, err := p.AttachFile(attachedPath)
	if err != nil {
		return nil, err
	}
	private, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	copy(private, numbered(size))
	memory, err := p.AttachMemory("memory", private)
	if err != nil {
		return nil, err
	}
	sharedMemory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	copy(sharedMemory, numbered(size))
	shared, err := p.AttachMemory("shared", sharedMemory)
	if err != nil {
		return nil, err
	}
	// Reading what each page holds touches all of them: the first window begins at the first Rearm.
	add(arena, arenaMemory, true)
	add(mapped, mapped.Bytes(), false)
	add(attached, attachedMemory, true)
	add(memory, private, true)
	add(shared, sharedMemory, true)
	for _, r := range list {
		if err := r.region.Rearm(); err != nil {
			return nil, fmt.Errorf("%s: %w", r.region.Name(), err)
		}
	}
	return list, nil
}

func numbered(size int) []byte {
	b := make([]byte, size)
	for i := 0; i < size; i += 8 {
		binary.NativeEndian.PutUint64(b[i:], uint64(i)+1)
	}
	return b
}

func mapShared(path string, size int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// pass has one goroutine check each of its pages, and write every second one, in an order that differs from
// pass to pass.
func (r *region) pass(g int) error {
	r.passes[g]++
	order := rand.New(rand.NewPCG(uint64(g), r.passes[g])).Perm(len(r.words))
	for _, i := range order {
		if i%goroutines != g {
			continue
		}
		word := r.memory[i*page:]
		if got := binary.NativeEndian.Uint64(word); got != r.words[i] {
			return fmt.Errorf("%s: page %d holds %d, want %d", r.region.Name(), i, got, r.words[i])
		}
		if last := r.memory[(i+1)*page-8:]; !r.write && binary.NativeEndian.Uint64(last) != uint64((i+1)*page-8)+1 {
			return fmt.Errorf("%s: the end of page %d holds %d", r.region.Name(), i, binary.NativeEndian.Uint64(last))
		}
		if r.write && order[0]%2 == 0 {
			r.words[i]++
			binary.NativeEndian.PutUint64(word, r.words[i])
		}
	}
	return nil
}

// counted wants every page to have faulted once between two snapshots.
func (r *region) counted(before, after *profiler.Snapshot) error {
	a, b := after.Regions[r.region.ID()], before.Regions[r.region.ID()]
	if n := a.Faults - b.Faults; n != uint64(len(r.words)) {
		return fmt.Errorf("%s: %d faults in a window, want %d (%d opened with a neighbour)", a.Name, n, len(r.words), a.Widened-b.Widened)
	}
	return nil
}
