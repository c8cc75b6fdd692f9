//go:build linux && (amd64 || arm64)

package bench

import (
	"math"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestJudge holds what the verdict says of rounds beyond, within and about a limit.
func TestJudge(t *testing.T) {
	base := []float64{10, 10, 10}
	for _, c := range []struct {
		name   string
		claim  claim
		values []float64
		limit  float64
		want   string
	}{
		{"below", claim{}, []float64{11, 12, 13}, 1.3, holds},
		{"far below", claim{}, []float64{1, 1, 1}, 1.3, holds},
		{"beyond", claim{}, []float64{14, 15, 16}, 1.3, fails},
		{"now and then", claim{}, []float64{9, 15, 16}, 1.3, unclear},
		{"no limit", claim{}, []float64{90, 90, 90}, 0, ""},
		{"too little", claim{both: true}, []float64{2, 2, 2}, 1.05, fails},
		{"as much", claim{both: true}, []float64{10, 10, 10}, 1.05, holds},
		{"not less for certain", claim{both: true}, []float64{9, 9, 11}, 1.05, unclear},
		{"more by a number", claim{difference: true, both: true}, []float64{10.2, 10.2, 10.2}, .05, fails},
		{"fewer by a number", claim{difference: true, both: true}, []float64{9.8, 9.8, 9.8}, .05, fails},
		{"the same number", claim{difference: true, both: true}, base, .05, holds},
		{"within the slack", claim{slack: 50}, []float64{20, 30, 60}, 1.2, holds},
		{"beyond the slack", claim{slack: 50}, []float64{61, 80, 90}, 1.2, fails},
		{"none measured", claim{}, []float64{math.NaN(), math.NaN(), math.NaN()}, 1.2, ""},
	} {
		if _, got := c.claim.judge(c.values, base, c.limit); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestScaleProcessors(t *testing.T) {
	for cpus, want := range map[int][]int{1: {1, 2, 8}, 4: {1, 2, 4, 8}, 24: {1, 2, 8, 16, 24}, 64: {1, 2, 8, 16, 32, 64}, 256: {1, 2, 8, 16, 32, 64}} {
		if got := scaleProcessors(cpus); !slices.Equal(got, want) {
			t.Errorf("%d processors: %v, want %v", cpus, got, want)
		}
	}
}

// TestBeside has each way of Scale touch a file while others measure how late they are.
func TestBeside(t *testing.T) {
	const pages = 1024
	r := &rig{dir: t.TempDir(), pages: pages}
	if err := r.makeCompared(4 * pages * pageSize); err != nil {
		t.Fatal(err)
	}
	found := 0
	for i, v := range coldVariants {
		if !slices.Contains(scaleVariants, v.name) {
			continue
		}
		found++
		t.Run(v.name, func(t *testing.T) {
			run, err := r.cold(i, pages, 4, unix.MADV_RANDOM, true)
			if err != nil {
				t.Fatal(err)
			}
			if run.skip != "" {
				t.Skip(run.skip)
			}
			if !(run.wall > 0) || run.late < 0 || run.stop < 0 {
				t.Errorf("%+v", run)
			}
		})
	}
	if found != len(scaleVariants) {
		t.Errorf("%d of %d ways are known", found, len(scaleVariants))
	}
}
