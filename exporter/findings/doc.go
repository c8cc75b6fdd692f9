// Package findings says in a few sentences what a result means: each with its numbers, with the command that shows them, and with one
// thing to try. A rule is a file. It has a floor below which it is silent, and it is silent where the data cannot carry the sentence: too
// few records, too many lost, an estimate whose error is as large as what it would say.
package findings

import (
	"slices"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
)

// most is how many findings are said, the weightiest first: who reads more of them reads none.
const most = 5

// rule finds something, or returns nil.
type rule func(in) *summary.Finding

// in is what rules look at.
type in struct {
	r *recording.Recording
	*summary.Summary
}

// rules are all of them. Those with equal weight are said in this order.
var rules = []rule{lost, mappings, wait, blocked, code, cold, amplified, thrash, cache, unused}

// Summarize makes the Summary of a recording with its findings.
func Summarize(r *recording.Recording, n summary.Limits) summary.Summary {
	s := summary.Of(r, n)
	s.Findings = Of(r, &s)
	return s
}

// Of finds what there is to say of a recording and its summary.
func Of(r *recording.Recording, s *summary.Summary) []summary.Finding {
	out := []summary.Finding{}
	for _, find := range rules {
		if f := find(in{r, s}); f != nil {
			out = append(out, *f)
		}
	}
	slices.SortStableFunc(out, func(a, b summary.Finding) int {
		switch {
		case a.Weight > b.Weight:
			return -1
		case a.Weight < b.Weight:
			return 1
		}
		return 0
	})
	return out[:min(most, len(out))]
}

// sound reports whether nearly all first touches were recorded, so that shares of them mean something.
func (x in) sound() bool {
	return x.Engine.Dropped*50 <= x.Engine.Faults
}

// stall is that of all regions, as estimated.
func (x in) stall() (sum float64) {
	for i := range x.Regions {
		sum += float64(x.Regions[i].Estimate.Stall)
	}
	return sum
}

const mib = 1 << 20
