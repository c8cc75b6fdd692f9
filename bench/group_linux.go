//go:build linux && (amd64 || arm64)

package bench

import (
	"fmt"
	"slices"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// group is a set of variants that make the same touches.
type group struct {
	title string
	bases []base
	names []string
	// round runs every variant once, beginning with another one each time.
	round func(r *rig, turn int) ([]result, error)
}

// base is a variant that the others are compared with.
type base struct {
	name  string // as a column's title
	index int
}

// separate is a group of variants that run one after the other.
func separate(title string, l func(pages int) load, bases []base, variants ...variant) group {
	g := group{title: title, bases: bases}
	for _, v := range variants {
		g.names = append(g.names, v.name)
	}
	g.round = func(r *rig, turn int) ([]result, error) {
		out := make([]result, len(variants))
		for i := range variants {
			i = (i + turn) % len(variants)
			var err error
			if out[i], err = variants[i].run(r, l(r.pages)); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", title, variants[i].name, err)
			}
		}
		return out, nil
	}
	return g
}

// pair is a group of two that take turns within a round. Both have files of their own, and where those lie
// in physical memory makes one of them a tenth slower: so each has either.
func pair(title string, names [2]string, l func(pages int) load, run func(*rig, load) ([2]result, error)) group {
	return group{
		title: title, names: names[:], bases: []base{{"plain", 0}},
		round: func(r *rig, _ int) ([]result, error) {
			mean := make([]result, 2)
			for range 2 {
				out, err := run(r, l(r.pages))
				if err != nil {
					return nil, fmt.Errorf("%s: %w", title, err)
				}
				for i := range mean {
					mean[i].perPage += out[i].perPage / 2
					mean[i].skip = out[i].skip
				}
				r.swapFiles()
			}
			return mean, nil
		},
	}
}

// firstTouch are the ways to touch an arena for the first time, in the order of bases.
func firstTouch() (bases []base, variants []variant) {
	return []base{{"kernel", 0}, {"C loop", 1}, {"C handler", 3}}, []variant{
		{"kernel's own fault", kernelArena},
		{"C loop, one CPU", peer(oneCPU, 1)},
		{"C loop, left to the scheduler", peer(anyCPU, 1)},
		{"C handler of SIGBUS", peer(bySIGBUS, 1)},
		{"profiler, no stacks", profiledArena(profiler.StacksNone())},
		{"profiler, every stack", profiledArena(profiler.StacksEvery())},
		{"by signal, every stack", profiledArena(profiler.StacksEvery(), bySignal)},
	}
}

// wideTouch are those for granules of 64 KiB.
func wideTouch() (bases []base, variants []variant) {
	return []base{{"kernel", 0}, {"C handler", 1}}, []variant{
		{"kernel's own fault", kernelArena},
		{"C handler of SIGBUS", peer(bySIGBUS, 16)},
		{"by signal, every stack", profiledArena(profiler.StacksEvery(), bySignal, profiler.WithGranule(64<<10))},
	}
}

// groups lists what is measured.
func groups() []group {
	bases, variants := firstTouch()
	alone := append(variants[:len(variants):len(variants)], variant{"perf record, every stack", perfArena})
	beside := append(bases[:len(bases):len(bases)], base{"perf", len(alone) - 1})
	wideBases, wide := wideTouch()
	small, large := pageSize, 16*pageSize
	file := []variant{
		{"plain mapping", kernelFile(unix.MADV_NORMAL)},
		{"plain mapping, MADV_RANDOM", kernelFile(unix.MADV_RANDOM)},
		{fmt.Sprintf("C handler of SIGSEGV, granule %d KiB", large>>10), peerFile(large)},
		{fmt.Sprintf("profiler, granule %d KiB", small>>10), profiledFile(small, profiler.StacksNone())},
		{fmt.Sprintf("profiler, granule %d KiB", large>>10), profiledFile(large, profiler.StacksNone())},
		{fmt.Sprintf("profiler, granule %d KiB, every stack", small>>10), profiledFile(small, profiler.StacksEvery())},
		{fmt.Sprintf("by signal, granule %d KiB, every stack", small>>10), profiledFile(small, profiler.StacksEvery(), bySignal)},
		{fmt.Sprintf("by signal, granule %d KiB, every stack", large>>10), profiledFile(large, profiler.StacksEvery(), bySignal)},
	}
	plain := []base{{"plain", 0}, {"C handler", 2}}
	many := slices.Delete(slices.Clone(file), 2, 3) // the C handler has one thread
	reads := func(stride, goroutines int) func(pages int) load {
		return func(pages int) load { return load{pages: pages / stride, stride: stride, goroutines: goroutines} }
	}
	writes := func(goroutines int) func(pages int) load {
		return func(pages int) load { return load{write: true, pages: pages, stride: 1, goroutines: goroutines} }
	}
	return []group{
		separate("First write to a page of an arena", writes(1), beside, alone...),
		separate("First read of a page of an arena", reads(1, 1), beside, alone...),
		separate("First write to a page of an arena, granules of 64 KiB", writes(1), wideBases, wide...),
		separate("First read of a page of an arena, granules of 64 KiB", reads(1, 1), wideBases, wide...),
		separate("First write to a page of an arena, 64 goroutines", writes(64), bases, variants...),
		separate("First write to a page of an arena, 64 goroutines, granules of 64 KiB", writes(64), wideBases, wide...),
		separate("First read of a page of a cached file, one after the other", reads(1, 1), plain, file...),
		separate("First read of a page of a cached file, one in 16", reads(16, 1), plain, file...),
		separate("First read of a page of a cached file, 64 goroutines", reads(1, 64), plain[:1], many...),
		pair("Touched pages of an arena", [2]string{"plain memory", "arena"}, writes(1), touchedArena),
		pair("Touched pages of a mapped file", [2]string{"plain mapping", "mapped by the profiler"}, reads(1, 1), touchedMapped),
		pair("Touched pages of an attached file", [2]string{"plain mapping", "attached"}, reads(1, 1), touchedAttached),
		pair("Touched pages of an attached file, half of it untouched", [2]string{"plain mapping", "attached"}, reads(2, 1), touchedAttached),
		pair("Touched pages of an attached file in large folios", [2]string{"plain mapping", "attached"}, reads(1, 1), touchedAtOnce),
		pair("The same, after the region was closed", [2]string{"plain mapping", "closed"}, reads(1, 1), detachedAtOnce(false)),
		pair("The same, after its owner has dropped the page tables (MADV_DONTNEED) and touched all again", [2]string{"plain mapping", "closed and dropped"}, reads(1, 1), detachedAtOnce(true)),
	}
}
