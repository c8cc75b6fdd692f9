package bench

import (
	"math"
	"slices"
)

// quantile returns the value below which the share q of the values lies, between neighbours by
// linear interpolation. NaN for none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(values))
	at := q * float64(len(v)-1)
	i := min(int(at), max(len(v)-2, 0))
	if len(v) == 1 {
		return v[0]
	}
	return v[i] + (at-float64(i))*(v[i+1]-v[i])
}

// ratios divides the values of each round by the base's value of the same round, leaving out
// rounds that either does not have (NaN).
func ratios(values, base []float64) (out []float64) {
	for i, v := range values {
		if r := v / base[i]; !math.IsNaN(r) {
			out = append(out, r)
		}
	}
	return out
}

// present leaves out the rounds without a value.
func present(values []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(values), math.IsNaN)
}
