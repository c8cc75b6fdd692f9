package summary

import (
	"cmp"
	"encoding/hex"
	"slices"

	"github.com/firsttouch/firsttouch/exporter/recording"
)

// RequestList is what is known of the requests of a service: the sums over all that ended, and those that were kept one by one.
type RequestList struct {
	All  recording.RequestTotals
	Kept []Request
}

// Listed is a list of requests all of which are known.
func Listed(list []Request) RequestList {
	l := RequestList{Kept: list}
	for _, r := range list {
		l.All.Add(uint64(r.Faults), r.Duration, r.Stall)
	}
	return l
}

// RequestsOf are the requests of a recording: the spans that came in from outside the process, each with the
// first touches of the spans below it.
func RequestsOf(r *recording.Recording) RequestList {
	l := RequestList{All: r.Ended, Kept: []Request{}}
	for i := range r.Requests {
		q := &r.Requests[i]
		if !q.Entry {
			continue
		}
		l.Kept = append(l.Kept, Request{
			TraceID: hex.EncodeToString(q.TraceID[:]), SpanID: hex.EncodeToString(q.SpanID[:]),
			Name: q.Name, Target: q.Target, Start: r.WallTime(q.Start), Duration: q.Duration,
			Faults: int64(q.Tree.Faults), Stall: q.Tree.Stall, StallMax: q.Tree.Max, Touched: int64(q.Tree.Touched), Blocked: q.Blocked,
		})
	}
	// What was kept ended, also where the sums were not written.
	if known := Listed(l.Kept).All; l.All.Count < known.Count {
		l.All = known
	}
	return l
}

// SumRequests sums up a list, and lists the n slowest.
func SumRequests(list RequestList, n int) Requests {
	all := list.All
	sum := Requests{
		Count: int(all.Count), WithFaults: int(all.WithFaults), Duration: all.Duration, Stall: all.Stall, Attributed: all.Faults,
		Kept: len(list.Kept), Slowest: []Request{},
	}
	slowest := slices.Clone(list.Kept)
	slices.SortFunc(slowest, func(a, b Request) int {
		return cmp.Or(cmp.Compare(b.Duration, a.Duration), cmp.Compare(a.SpanID, b.SpanID))
	})
	sum.Slowest = append(sum.Slowest, slowest[:min(n, len(slowest))]...)
	return sum
}
