//go:build linux && (amd64 || arm64)

package main

import (
	"encoding/binary"
	"fmt"
	"log"
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
	page   int
	words  []uint64
	writes writes
	passes [goroutines]uint64
}

// writes is how often a pass writes.
type writes int

const (
	never writes = iota
	sometimes
	always
)

var page = os.Getpagesize()

// regions makes one of each kind that can have the delivery.
func regions(p *profiler.Profiler, d profiler.Delivery, dir string, pages int) (list []*region, err error) {
	size := pages * page
	add := func(r *profiler.Region, memory []byte, page int, w writes) {
		words := make([]uint64, len(memory)/page)
		for i := range words { // touches all of them: the first window begins at the first Rearm
			words[i] = binary.NativeEndian.Uint64(memory[i*page:])
		}
		list = append(list, &region{region: r, memory: memory, page: page, words: words, writes: w})
	}
	arena, err := p.NewArena("arena", size)
	if err != nil {
		return nil, err
	}
	add(arena, arena.Bytes(), page, sometimes)
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
	add(mapped, mapped.Bytes(), page, never)
	attachedMemory, err := mapShared(attachedPath, size)
	if err != nil {
		return nil, err
	}
	attached, err := p.AttachFile(attachedPath)
	if err != nil {
		return nil, err
	}
	add(attached, attachedMemory, page, sometimes)
	if d == profiler.DeliveryThread {
		for _, k := range []struct {
			name   string
			flags  int
			page   int
			writes writes
			opts   []profiler.RegionOption
		}{
			{"memory", unix.MAP_PRIVATE, page, sometimes, nil},
			{"writes of memory", unix.MAP_PRIVATE, page, always, []profiler.RegionOption{profiler.WithWritesOnly()}},
			{"shared memory", unix.MAP_SHARED, page, sometimes, nil},
			{"writes of shared memory", unix.MAP_SHARED, page, always, []profiler.RegionOption{profiler.WithWritesOnly()}},
			{"huge pages", unix.MAP_SHARED | unix.MAP_HUGETLB, hugePage, sometimes, nil},
		} {
			n := size
			if k.page == hugePage {
				n = hugePages * hugePage
			}
			memory, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, k.flags|unix.MAP_ANONYMOUS)
			if err != nil && k.page == hugePage {
				log.Printf("%s are left out: %v: as root, echo %d >/proc/sys/vm/nr_hugepages", k.name, err, hugePages)
				continue
			}
			if err != nil {
				return nil, err
			}
			copy(memory, numbered(n))
			r, err := p.AttachMemory(k.name, memory, k.opts...)
			if err != nil {
				return nil, err
			}
			add(r, memory, k.page, k.writes)
		}
		heap, err := p.AttachGoHeap()
		if err != nil {
			return nil, err
		}
		add(heap, nil, page, never)
	}
	for _, r := range list {
		if err := r.region.Rearm(); err != nil {
			return nil, fmt.Errorf("%s: %w", r.region.Name(), err)
		}
	}
	return list, nil
}

const (
	hugePage  = 2 << 20
	hugePages = 8
)

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
		word := r.memory[i*r.page:]
		if got := binary.NativeEndian.Uint64(word); got != r.words[i] {
			return fmt.Errorf("%s: page %d holds %d, want %d", r.region.Name(), i, got, r.words[i])
		}
		if last := r.memory[(i+1)*r.page-8:]; r.writes == never && binary.NativeEndian.Uint64(last) != uint64((i+1)*r.page-8)+1 {
			return fmt.Errorf("%s: the end of page %d holds %d", r.region.Name(), i, binary.NativeEndian.Uint64(last))
		}
		if r.writes == always || r.writes == sometimes && order[0]%2 == 0 {
			r.words[i]++
			binary.NativeEndian.PutUint64(word, r.words[i])
		}
	}
	return nil
}

// counted wants every page to have faulted once between two snapshots.
func (r *region) counted(before, after *profiler.Snapshot) error {
	a, b := after.Regions[r.region.ID()], before.Regions[r.region.ID()]
	n := a.Faults - b.Faults
	if r.memory == nil && n > 0 { // the Go heap
		return nil
	}
	if n != uint64(len(r.words)) {
		return fmt.Errorf("%s: %d faults in a window, want %d (%d opened with a neighbour)", a.Name, n, len(r.words), a.Widened-b.Widened)
	}
	return nil
}
