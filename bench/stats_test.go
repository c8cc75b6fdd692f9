package bench

import (
	"math"
	"slices"
	"testing"
)

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		values  []float64
		q, want float64
	}{
		{[]float64{7}, .5, 7},
		{[]float64{3, 1}, .5, 2},
		{[]float64{5, 1, 3}, .5, 3},
		{[]float64{1, 2, 3, 4, 5}, .25, 2},
		{[]float64{1, 2, 3, 4}, 1, 4},
		{[]float64{1, 2, 3, 4}, 0, 1},
	} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", c.values, c.q, got, c.want)
		}
	}
	if got := quantile(nil, .5); !math.IsNaN(got) {
		t.Errorf("quantile of nothing = %v", got)
	}
}

func TestRatiosLeaveOutRoundsWithoutAValue(t *testing.T) {
	nan := math.NaN()
	got := ratios([]float64{2, nan, 9, 8}, []float64{1, 4, nan, 2})
	if !slices.Equal(got, []float64{2, 4}) {
		t.Errorf("ratios = %v", got)
	}
}
