// Package load is the demo's load: a fixed list of requests, drawn from a seed, and the clients
// that send it.
package load

import (
	"errors"
	"math/rand/v2"

	"github.com/firsttouch/firsttouch/internal/demo/search"
)

// The shape of the popularity of names: rank k is asked for in proportion to 1/(k+zipfV)^zipfS.
// Some names come again and again, and there is a long tail of names that come once.
const (
	zipfS = 1.1
	zipfV = 20
)

// Plan returns the paths of n requests for names, of which the first are the most popular. The
// same arguments give the same plan, on every machine.
func Plan(names []string, seed uint64, n int) ([]string, error) {
	if len(names) == 0 {
		return nil, errors.New("no identifiers to ask for: the index is empty")
	}
	rng := rand.New(rand.NewPCG(seed, 0x6669727374746f75)) // any constant: the seed alone tells plans apart
	zipf := rand.NewZipf(rng, zipfS, zipfV, uint64(len(names)-1))
	name := func() string { return names[zipf.Uint64()] }
	paths := make([]string, n)
	for i := range paths {
		switch kind := rng.IntN(100); {
		case kind < 60:
			paths[i] = search.LookupPath(name())
		case kind < 80:
			runes := []rune(name())
			paths[i] = search.PrefixPath(string(runes[:min(len(runes), 2+rng.IntN(4))]))
		default:
			paths[i] = search.TogetherPath(name(), name())
		}
	}
	return paths, nil
}
