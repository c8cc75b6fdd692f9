//go:build amd64 || arm64

package pprof

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
)

// page is a multiple of the page size of every machine up to 64 KiB.
const page = 64 << 10

// workload touches memory in two ways: by a store, and in copy, whose assembly has no frame.
//
//go:noinline
func workload(b []byte, pages int) {
	var buf [16]byte
	for i := range pages {
		if i%2 == 0 {
			b[i*page] = 1
		} else {
			copy(buf[:], b[i*page:])
		}
	}
}

// capture profiles the workload in a new arena with the real engine.
func capture(t *testing.T, pages int, opts ...profiler.Option) *profiler.Snapshot {
	t.Helper()
	p, err := profiler.New(append([]profiler.Option{profiler.WithGranule(page), profiler.WithFailingSystemCalls(), profiler.WithStopLimit(10 * time.Second)}, opts...)...)
	if errors.Is(err, profiler.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	a, err := p.NewArena("cache", 2*pages*page)
	if err != nil {
		t.Fatal(err)
	}
	workload(a.Bytes(), pages)
	return p.Snapshot()
}

func TestTwoCapturesOfTheSameWorkDiffToNothing(t *testing.T) {
	var s [2]*profiler.Snapshot
	for i := range s {
		s[i] = capture(t, 64) // from one place, or the stacks would differ
	}
	// Not the stalls: time is never the same twice.
	assertNothingLeft(t, ByCode(s[0]), ByCode(s[1]), 2)
	assertNothingLeft(t, ByAddress(s[0]), ByAddress(s[1]), 2)
}

func TestCaptureInTheTool(t *testing.T) {
	s := capture(t, 64)
	p := ByCode(s)
	if got := totals(p, under("github.com/firsttouch/firsttouch/exporter/pprof.workload")); got[0] != 64 || got[1] != 64*page {
		t.Errorf("workload has %d faults and %d bytes, want 64 and %d", got[0], got[1], 64*page)
	}
	if got := totals(p, under("runtime.memmove")); got[0] != 32 {
		t.Errorf("copy has %d faults, want 32", got[0])
	}
	out := pprofTool(t, p, "-top", "-sample_index=stall")
	if want := regexp.MustCompile(`100%\s+\S+pprof\.workload\n`); !want.MatchString(out) {
		t.Errorf("all of the waiting is not in workload:\n%s", out)
	}
	out = pprofTool(t, ByAddress(s), "-top", "-sample_index=faults")
	if !strings.Contains(out, "64   100%  cache\n") {
		t.Errorf("the arena is not at the root of all faults:\n%s", out)
	}
}

func TestSampledStacksLeaveTheCountsAlone(t *testing.T) {
	for name, c := range map[string]struct {
		stacks profiler.StackSampling
		want   int64 // faults without a stack
	}{
		"none": {profiler.StacksNone(), 64}, "every": {profiler.StacksEvery(), 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := ByCode(capture(t, 64, profiler.WithStacks(c.stacks)))
			if got := totals(p, nil); got[0] != 64 || got[1] != 64*page {
				t.Errorf("%d faults and %d bytes, want 64 and %d", got[0], got[1], 64*page)
			}
			if got := totals(p, under(exporter.FrameNoStack)); got[0] != c.want {
				t.Errorf("%d faults stand under %s, want %d", got[0], exporter.FrameNoStack, c.want)
			}
		})
	}
	t.Run("one in four", func(t *testing.T) {
		p := ByCode(capture(t, 64, profiler.WithStacks(profiler.StacksOneIn(4))))
		without := totals(p, under(exporter.FrameNoStack))[0]
		if all := totals(p, nil)[0]; all != 64 || without < 32 || without == 64 {
			t.Errorf("%d faults, %d of them without a stack", all, without)
		}
	})
}
