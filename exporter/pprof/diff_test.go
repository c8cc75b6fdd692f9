package pprof

import (
	"testing"

	"github.com/google/pprof/profile"
)

// difference is what go tool pprof -diff_base computes.
func difference(t *testing.T, a, b *profile.Profile) *profile.Profile {
	t.Helper()
	a, b = roundTrip(t, a), roundTrip(t, b)
	b.Scale(-1)
	d, err := profile.Merge([]*profile.Profile{a, b})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// assertNothingLeft compares the first n values of two profiles, sample by sample.
func assertNothingLeft(t *testing.T, a, b *profile.Profile, n int) {
	t.Helper()
	if len(a.Sample) == 0 {
		t.Fatal("nothing to compare")
	}
	for _, s := range difference(t, a, b).Sample {
		for i, v := range s.Value[:n] {
			if v != 0 {
				t.Errorf("the difference in %s has a sample of %d: %q %v", a.SampleType[i].Type, v, names(s), s.Label)
			}
		}
	}
}

func TestEqualWorkDiffsToNothing(t *testing.T) {
	assertNothingLeft(t, ByCode(synthetic()), ByCode(synthetic()), 3)
	assertNothingLeft(t, ByCode(synthetic(), WithSpans()), ByCode(synthetic(), WithSpans()), 3)
	assertNothingLeft(t, ByAddress(synthetic()), ByAddress(synthetic()), 3)
	if d := difference(t, ByCode(synthetic()), ByCode(twice())); totals(d, nil)[0] != -2 {
		t.Errorf("different work differs by %v", totals(d, nil))
	}
}
