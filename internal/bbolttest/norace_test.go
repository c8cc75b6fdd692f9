//go:build !race

package bbolttest

// rounds is how often a test repeats itself: fewer times under the race detector.
func rounds(n, _ int) int { return n }
