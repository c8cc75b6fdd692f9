package report

import (
	"encoding/hex"

	"github.com/firsttouch/firsttouch/exporter/recording"
)

// RequestsOf are the requests of a recording: the spans that came in from outside the process, each with the
// first touches of the spans below it.
func RequestsOf(r *recording.Recording) []Request {
	list := []Request{}
	for i := range r.Requests {
		q := &r.Requests[i]
		if !q.Entry {
			continue
		}
		list = append(list, Request{
			TraceID: hex.EncodeToString(q.TraceID[:]), SpanID: hex.EncodeToString(q.SpanID[:]),
			Name: q.Name, Target: q.Target, Start: r.WallTime(q.Start), Duration: q.Duration,
			Faults: int64(q.Tree.Faults), Stall: q.Tree.Stall, StallMax: q.Tree.Max, Touched: int64(q.Tree.Touched),
		})
	}
	return list
}
