package recording

import "github.com/firsttouch/firsttouch/profiler"

// visitFault: the address is stored as the place of the region's start, which is that of the row
// before for every fault of the same mapping.
func visitFault(c *columns, f *profiler.Fault) {
	step(c, 1, &f.Seq)
	step(c, 2, &f.Time)
	step(c, 3, &f.Offset)
	base := f.Address - uintptr(f.Offset)
	step(c, 4, &base)
	f.Address = base + uintptr(f.Offset)
	number(c, 5, &f.Stall)
	step(c, 6, &f.Goroutine)
	step(c, 7, &f.Span)
	step(c, 8, &f.Thread)
	step(c, 9, &f.Region)
	step(c, 10, &f.Stack)
	number(c, 11, &f.Messages)
	number(c, 12, &f.Access)
	number(c, 13, &f.Source)
	number(c, 14, &f.Actor)
	real(c, 15, &f.Weight)
	number(c, 16, &f.Wait)
}

// span is a span that faults refer to.
type span struct {
	ref profiler.SpanRef
	profiler.SpanStats
}

func visitSpan(c *columns, s *span) {
	step(c, 1, &s.ref)
	fixed(c, 2, s.TraceID[:])
	fixed(c, 3, s.SpanID[:])
	number(c, 4, &s.Faults)
	number(c, 5, &s.Stall)
	number(c, 6, &s.Max)
	number(c, 7, &s.Bytes)
	series(c, 8, &s.Regions)
}

func visitRequest(c *columns, r *Request) {
	fixed(c, 1, r.TraceID[:])
	fixed(c, 2, r.SpanID[:])
	fixed(c, 3, r.ParentID[:])
	flag(c, 4, &r.Entry)
	number(c, 5, &r.Kind)
	text(c, 6, &r.Name)
	text(c, 7, &r.Target)
	step(c, 8, &r.Start)
	number(c, 9, &r.Duration)
	flag(c, 10, &r.Failed)
	for i, t := range []*Totals{&r.Totals, &r.Tree} {
		number(c, 11+4*i, &t.Faults)
		number(c, 12+4*i, &t.Touched)
		number(c, 13+4*i, &t.Stall)
		number(c, 14+4*i, &t.Max)
	}
	number(c, 19, &r.Blocked)
}
