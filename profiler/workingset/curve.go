package workingset

import "slices"

// Curve is the size of the working set over the number of windows: its i'th element is the mean number
// of distinct granules in i+1 windows in a row, over all such runs that were observed whole.
type Curve []float64

// NewCurve computes the curve of a list of windows, for runs of up to most windows. It takes one step for
// each touch: a granule that is touched in windows a and b and not in between is missing in those runs of n windows
// that fit in between (P. J. Denning, D. R. Slutz, "Generalized working sets", 1978).
func NewCurve(windows []Window, most int) Curve {
	most = min(most, len(windows))
	gaps := make([]int, len(windows)+1) // untouched stretches, by their length in windows
	last := make(map[uint64]int)
	for i, w := range windows {
		for _, g := range w.Touched {
			before, seen := last[g]
			switch {
			case !seen:
				gaps[i]++
			case before != i:
				gaps[i-before-1]++
			}
			last[g] = i
		}
	}
	for _, i := range last {
		gaps[len(windows)-1-i]++
	}
	c := make(Curve, 0, most)
	for n := 1; n <= most; n++ {
		runs := len(windows) - n + 1
		present := len(last) * runs
		for length := n; length < len(gaps); length++ {
			present -= gaps[length] * (length - n + 1)
		}
		c = append(c, float64(present)/float64(runs))
	}
	return slices.Clip(c)
}

// CurveErrors are the standard errors of the points of a curve whose windows hold a sample of the granules,
// taken in blocks, each block's points scaled to all granules. They come from how much the blocks differ:
// errorOf is the standard error of a sum, given that of the blocks' values and that of their squares.
func CurveErrors(windows []Window, most int, blockOf func(granule uint64) uint64, errorOf func(sum, squares float64) float64) []float64 {
	blocks := make(map[uint64][]Window)
	for i, w := range windows {
		for _, g := range w.Touched {
			b := blockOf(g)
			if blocks[b] == nil {
				blocks[b] = make([]Window, len(windows))
			}
			blocks[b][i].Touched = append(blocks[b][i].Touched, g)
		}
	}
	sums, squares := make([]float64, min(most, len(windows))), make([]float64, min(most, len(windows)))
	for _, of := range blocks {
		for n, v := range NewCurve(of, most) {
			sums[n] += v
			squares[n] += v * v
		}
	}
	errors := make([]float64, len(sums))
	for n := range errors {
		errors[n] = errorOf(sums[n], squares[n])
	}
	return errors
}
