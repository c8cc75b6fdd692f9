//go:build race

package bbolttest

// rounds is fewer under the race detector, which slows everything down: what it looks for shows in a
// few.
func rounds(_, race int) int { return race }
