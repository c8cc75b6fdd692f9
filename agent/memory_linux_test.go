package agent

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
)

// The bound that README states.
const (
	memoryMost   = 64 << 20
	memoryPage   = 8       // bytes a page observed
	memoryRecord = 68      // bytes a record of the ring
	ringDefault  = 1 << 17 // records
)

// Whatever a service does, the agent takes no more memory than is said: with its settings, every table full.
func TestMemoryOfTheAgent(t *testing.T) {
	if os.Getenv("MEMORY_CHILD") == "" {
		t.Log(testproc.Run(t, "TestMemoryOfTheAgent", []string{"MEMORY_CHILD=1"}, time.Minute))
		return
	}
	pages, regions, spans := 30_000, 500, 2_000
	if testproc.Long() {
		pages, regions, spans = 300_000, 5_000, 20_000
	}
	page := os.Getpagesize()
	before := anonymous(t)
	a := start(t, WithStacks(profiler.StacksEvery()))
	p := a.Profiler()
	arena, err := p.NewArena("cache", pages*page)
	if err != nil {
		t.Fatal(err)
	}
	// Reading takes no memory of its own. Each page by another stack, as deep as stacks are kept.
	sum := 0
	for i := range pages {
		sum += deep(45, i%(1<<15), 15, func() int { return int(arena.Bytes()[i*page]) })
	}
	for i := range spans {
		s := p.StartSpan([16]byte{1, byte(i), byte(i >> 8)}, [8]byte{1, byte(i), byte(i >> 8)})
		small, err := p.NewArena(fmt.Sprintf("of a span %d", i%regions), page)
		if err == nil {
			sum += int(small.Bytes()[0])
			err = small.Close()
		}
		if err != nil && !errors.Is(err, profiler.ErrTooMany) {
			t.Fatal(err)
		}
		s.End()
		s.Release()
	}
	s := p.Snapshot()
	if sum != 0 || s.Stats.Faults < uint64(pages) || s.Stats.Dropped > 0 {
		t.Fatalf("%d, %+v", sum, s.Stats)
	}
	what := fmt.Sprintf("%d faults (%d in the log), %d stacks, %d cut, %d groups, %d regions", s.Stats.Faults, len(s.Faults), s.Stacks(), s.Stats.StacksCut, len(s.Groups), len(s.Regions))
	observed := int64(pages + spans)
	s = nil
	took, most := anonymous(t)-before, memoryMost+memoryPage*observed+memoryRecord*ringDefault
	t.Logf("%.1f MiB for %s; at most %.1f", float64(took)/(1<<20), what, float64(most)/(1<<20))
	if !raceEnabled && took > most {
		t.Errorf("the agent takes %d bytes, more than %d", took, most)
	}
	runtime.KeepAlive(a)
}

// deep calls itself so often, and then by bits one of two functions.
//
//go:noinline
func deep(n, bits, left int, do func() int) int {
	if n > 0 {
		return deep(n-1, bits, left, do) + 0*n
	}
	return zero(bits, left, do) + 0*n
}

//go:noinline
func zero(bits, left int, do func() int) int {
	if left == 0 {
		return do()
	}
	if bits&1 == 0 {
		return zero(bits>>1, left-1, do) + 0*left
	}
	return one(bits>>1, left-1, do) + 0*left
}

//go:noinline
func one(bits, left int, do func() int) int {
	if left == 0 {
		return do()
	}
	if bits&1 == 0 {
		return zero(bits>>1, left-1, do) + 0*left
	}
	return one(bits>>1, left-1, do) + 0*left
}

var anonLine = regexp.MustCompile(`RssAnon:\s+(\d+) kB`)

// anonymous is the memory of the process that is its own, after what can be given back was.
func anonymous(t *testing.T) int64 {
	t.Helper()
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	m := anonLine.FindSubmatch(text)
	if err != nil || m == nil {
		t.Fatalf("%v, %s", err, text)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}
