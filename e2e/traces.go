package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/exporter"
)

// spanChecks are the verdicts on single spans, by what was looked at.
type spanChecks struct {
	n   map[string]int
	bad map[string][]string
}

// Rows of the table on traces.
const (
	rowSpans   = "spans in Jaeger wait as the snapshot says"
	rowNames   = "attributes in Jaeger are the catalogue's"
	rowParents = "bursts in Jaeger are within their parents"
	rowSums    = "bursts in Jaeger add up to their parents"
	rowBursts  = "bursts in Jaeger tell of the snapshot's faults"
)

func (c *spanChecks) see(row string, ok bool, format string, args ...any) {
	c.n[row]++
	if !ok {
		c.bad[row] = append(c.bad[row], fmt.Sprintf(format, args...))
	}
}

// checkTraces reads every span back, and returns them by their id.
func checkTraces(ctx context.Context, r *results, j jaeger, t *truth, d *demoRun, began time.Time) (map[string]*jaegerSpan, error) {
	all, err := j.complete(ctx, began, d.summary.Spans.Ended)
	if err != nil {
		return nil, err
	}
	r.pass("spans in Jaeger are complete", "%d spans", len(all))
	byID := make(map[string]*jaegerSpan)
	for i := range all {
		byID[all[i].SpanID] = &all[i]
	}
	c := &spanChecks{n: make(map[string]int), bad: make(map[string][]string)}
	bursts := make(map[string][]*jaegerSpan) // by parent
	for i := range all {
		s := &all[i]
		c.names(s)
		if s.burst() {
			c.parent(s, byID, bursts)
		} else {
			c.waited(s, t)
		}
	}
	for id, faults := range t.bySpan {
		c.see(rowSpans, byID[id] != nil, "%d faults are of the span %s, which is not in Jaeger", len(faults), id)
	}
	for id, list := range bursts {
		c.bursts(byID[id], list, t)
	}
	for _, row := range []string{rowSpans, rowNames, rowParents, rowSums, rowBursts} {
		r.check(row, c.n[row], c.bad[row], "things")
	}
	return byID, checkSlow(ctx, r, j, byID, began)
}

// waited holds the attributes of a span of the service against the faults that count for it.
func (c *spanChecks) waited(s *jaegerSpan, t *truth) {
	var stall, longest int64
	var regions []string // in the order of their first touches
	faults := t.bySpan[s.SpanID]
	for _, f := range faults {
		stall += f.StallNS
		longest = max(longest, f.StallNS)
		if name := t.snap.Regions[f.Region].Name; !slices.Contains(regions, name) {
			regions = append(regions, name)
		}
		c.see(rowSpans, f.TraceID == s.TraceID, "a fault of the span %s is of another trace, %s", s.SpanID, f.TraceID)
	}
	c.see(rowSpans, s.number(exporter.AttrFaults) == float64(len(faults)), "span %s: %v faults, the snapshot has %d", s.SpanID, s.number(exporter.AttrFaults), len(faults))
	if len(faults) == 0 {
		return
	}
	c.see(rowSpans, same(s.number(exporter.AttrStall), seconds(stall)) && same(s.number(exporter.AttrStallMax), seconds(longest)),
		"span %s: stall %v, at most %v; the snapshot has %v and %v", s.SpanID, s.number(exporter.AttrStall), s.number(exporter.AttrStallMax), seconds(stall), seconds(longest))
	slow := s.tag(exporter.AttrSlow)
	c.see(rowSpans, slow != nil && slow.Value == (stall >= int64(10*time.Millisecond)), "span %s: slow is %v with a stall of %v s", s.SpanID, slow, seconds(stall))
	// Two goroutines of a request may be first in a region in another order than they are counted.
	var told []string
	err := json.Unmarshal([]byte(s.word(exporter.AttrRegions)), &told)
	c.see(rowSpans, err == nil && len(told) == len(regions) && !slices.ContainsFunc(told, func(name string) bool { return !slices.Contains(regions, name) }),
		"span %s: regions %q, the snapshot has %q", s.SpanID, s.word(exporter.AttrRegions), regions)
}

// names holds every attribute of ours against the catalogue: its type, and that this kind of span has it.
func (c *spanChecks) names(s *jaegerSpan) {
	carrier := exporter.OnSpan
	if s.burst() {
		carrier = exporter.OnBurst
	}
	// Jaeger has no type for lists: they are strings of JSON.
	types := map[string]string{"int": "int64", "double": "float64", "bool": "bool", "string": "string", "string[]": "string"}
	for _, t := range s.Tags {
		e, ok := exporter.Lookup(exporter.KindAttribute, t.Key)
		ours := len(t.Key) > 11 && t.Key[:11] == "firsttouch."
		if !ours && !(ok && s.burst()) {
			continue
		}
		c.see(rowNames, ok && types[e.Type] == t.Type && slices.Contains(e.On, carrier), "%s on a %s is a %s; the catalogue has %+v", t.Key, carrier, t.Type, e)
	}
}

// parent files a burst under its parent, which has to be a span of the service that lasted at least as long.
func (c *spanChecks) parent(s *jaegerSpan, byID map[string]*jaegerSpan, bursts map[string][]*jaegerSpan) {
	if len(s.References) != 1 || s.References[0].RefType != "CHILD_OF" || s.References[0].TraceID != s.TraceID {
		c.see(rowParents, false, "burst %s has the references %+v", s.SpanID, s.References)
		return
	}
	p := byID[s.References[0].SpanID]
	ok := p != nil && !p.burst()
	c.see(rowParents, ok, "burst %s is under %+v", s.SpanID, p)
	if !ok {
		return
	}
	bursts[p.SpanID] = append(bursts[p.SpanID], s)
	// Each time is cut to microseconds by itself.
	c.see(rowParents, s.StartTime >= p.StartTime && s.StartTime+s.Duration <= p.StartTime+p.Duration+1,
		"burst %s is from %d to %d, its parent from %d to %d", s.SpanID, s.StartTime, s.StartTime+s.Duration, p.StartTime, p.StartTime+p.Duration)
	c.see(rowParents, s.word("span.kind") == "internal", "burst %s is of the kind %q", s.SpanID, s.word("span.kind"))
}

// bursts holds those of one span against it, and against its faults.
func (c *spanChecks) bursts(p *jaegerSpan, list []*jaegerSpan, t *truth) {
	var faults, stall float64
	for _, s := range list {
		faults += s.number(exporter.AttrFaults)
		stall += s.number(exporter.AttrStall)
		c.told(s, t.bySpan[p.SpanID], t)
	}
	c.see(rowSums, faults == p.number(exporter.AttrFaults) && same(stall, p.number(exporter.AttrStall)) && len(list) <= 32,
		"%d bursts under span %s have %v faults and waited %v s, the span %v and %v", len(list), p.SpanID, faults, stall, p.number(exporter.AttrFaults), p.number(exporter.AttrStall))
}

// told looks for a burst's faults among those of its parent: the bounds of its offsets are offsets of
// faults, within them there are at least as many faults as it has, and its caller is on a stack of theirs, or
// absent where the stack of one was missed. A burst in several regions has no offsets, and any of the faults may be
// its.
func (c *spanChecks) told(s *jaegerSpan, faults []agent.DocumentFault, t *truth) {
	low, high := int64(s.number(exporter.AttrOffsetLow)), int64(s.number(exporter.AttrOffsetHigh))
	several := s.tag(exporter.AttrRegion) == nil
	within, missed, lowest, highest := 0, false, several, several
	callers := make(map[string]bool)
	for _, f := range faults {
		if several || f.OffsetBytes >= low && f.OffsetBytes <= high && t.snap.Regions[f.Region].Name == s.word(exporter.AttrRegion) {
			within++
			missed = missed || f.Stack == 0
			for _, st := range t.snap.Stacks {
				if st.ID == f.Stack {
					for _, fr := range st.Frames {
						callers[fr.Function] = true
					}
				}
			}
		}
		lowest, highest = lowest || f.OffsetBytes == low, highest || f.OffsetBytes == high
	}
	n := int(s.number(exporter.AttrFaults))
	c.see(rowBursts, lowest && highest && within >= n, "burst %s has %d faults from %d to %d, the snapshot %d there", s.SpanID, n, low, high, within)
	function := s.word(exporter.AttrFunction)
	c.see(rowBursts, callers[function] && s.number(exporter.AttrLine) > 0 || function == "" && missed, "burst %s is by %q, which is on no stack of its faults", s.SpanID, function)
}

// checkSlow makes the search of the dashboard: it has to find the traces of slow spans, and no others.
func checkSlow(ctx context.Context, r *results, j jaeger, byID map[string]*jaegerSpan, began time.Time) error {
	want := make(map[string]bool)
	for _, s := range byID {
		if t := s.tag(exporter.AttrSlow); t != nil && t.Value == true {
			want[s.TraceID] = true
		}
	}
	got, err := j.spans(ctx, began, `{"`+exporter.AttrSlow+`":"true"}`)
	if err != nil {
		return err
	}
	found := make(map[string]bool)
	var bad []string
	for i := range got {
		if id := got[i].TraceID; !found[id] {
			found[id] = true
			if !want[id] {
				bad = append(bad, "trace "+id+" is found and was not slow")
			}
		}
	}
	if len(found) != len(want) {
		bad = append(bad, fmt.Sprintf("%d traces are found, %d were slow", len(found), len(want)))
	}
	r.check("Jaeger's search for slow requests", len(want), bad, "traces")
	return nil
}
