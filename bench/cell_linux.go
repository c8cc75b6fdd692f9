//go:build linux && (amd64 || arm64)

package bench

import (
	"fmt"
	"math/rand/v2"
)

// cell is one kind of touching, which every observer watches in turn.
type cell struct {
	Memory     string // memoryArena, memoryCache or memoryDisk
	Pattern    string // sequential, random or strided
	Goroutines int
	Granule    int // bytes that one fault of ours and of the C loop resolves
	Pages      int // touched, over all goroutines
}

const (
	memoryArena = "arena"      // written
	memoryZero  = "arena read" // read; only perfArena asks for it
	memoryCache = "page cache" // a file, read
	memoryDisk  = "disk"       // a file that was dropped from the page cache, read
)

// load is the cell's touches without their order.
func (c cell) load() load {
	l := load{write: c.Memory == memoryArena, pages: c.Pages, stride: 1, goroutines: c.Goroutines}
	if c.Pattern == "strided" {
		l.stride = 16 // as far as the kernel maps around a fault of a file
	}
	return l
}

// order lists the pages that goroutine i touches, and of each whether it is the first of its granule:
// that is the touch that a fault of the granule stops.
func (c cell) order(i int) (pages []int, first []bool) {
	l := c.load()
	share := l.pages / l.goroutines
	for k := range share {
		pages = append(pages, (i*share+k)*l.stride)
	}
	if c.Pattern == "random" {
		rand.New(rand.NewPCG(1, uint64(i))).Shuffle(share, func(a, b int) { pages[a], pages[b] = pages[b], pages[a] })
	}
	seen := map[int]bool{}
	for _, page := range pages {
		g := page * pageSize / c.Granule
		first = append(first, !seen[g])
		seen[g] = true
	}
	return pages, first
}

// granules is how many granules are touched. Parts of different goroutines may share one.
func (c cell) granules() int {
	seen := map[int]bool{}
	for i := range c.Goroutines {
		pages, _ := c.order(i)
		for _, page := range pages {
			seen[page*pageSize/c.Granule] = true
		}
	}
	return len(seen)
}

func (c cell) String() string {
	return fmt.Sprintf("%s, %s, %d goroutines, %d KiB", c.Memory, c.Pattern, c.Goroutines, c.Granule>>10)
}

// cells lists what is compared: everything, or in a quick run what shows each dimension once.
func cells(quick bool) (list []cell) {
	small, large := pageSize, 16*pageSize
	for _, memory := range []string{memoryArena, memoryCache, memoryDisk} {
		for _, pattern := range []string{"sequential", "random", "strided"} {
			for _, goroutines := range []int{1, 2, 8, 64} {
				for _, granule := range []int{small, large} {
					axes := 0
					for _, other := range []bool{pattern != "sequential", goroutines != 1, granule != small} {
						if other {
							axes++
						}
					}
					if quick && (axes > 1 || goroutines == 2 || goroutines == 8) {
						continue
					}
					list = append(list, cell{memory, pattern, goroutines, granule, 2048})
				}
			}
		}
	}
	return list
}
