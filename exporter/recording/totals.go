package recording

import "time"

// RequestTotals are sums over the requests that ended (Request.Entry), whether they were kept or not. The faults and the stall are those
// with the spans below.
type RequestTotals struct {
	Count, WithFaults uint64
	// Of those with faults.
	Duration, Stall time.Duration
	Faults          uint64
}

// Add counts a request.
func (t *RequestTotals) Add(faults uint64, took, stall time.Duration) {
	t.Count++
	if faults > 0 {
		t.WithFaults++
		t.Faults += faults
		t.Duration += took
		t.Stall += stall
	}
}

// Sub is what was added after an earlier moment.
func (t RequestTotals) Sub(o RequestTotals) RequestTotals {
	return RequestTotals{t.Count - o.Count, t.WithFaults - o.WithFaults, t.Duration - o.Duration, t.Stall - o.Stall, t.Faults - o.Faults}
}

func visitEnded(c *columns, t *RequestTotals) {
	number(c, 1, &t.Count)
	number(c, 2, &t.WithFaults)
	number(c, 3, &t.Duration)
	number(c, 4, &t.Stall)
	number(c, 5, &t.Faults)
}
