package report

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/plain"
)

// nameWidth bounds the columns that hold names.
const nameWidth = 44

// Render writes the summary as aligned text.
func Render(w io.Writer, s summary.Summary) error {
	s = plain.Lines(s)
	return errors.Join(
		renderRegions(s).Write(w),
		renderHeap(w, s),
		renderStalls(s).Write(w),
		renderCallers(s).Write(w),
		renderBlocked(w, s),
		renderRequests(s).Write(w),
		renderEngine(w, s),
	)
}

func renderRegions(s summary.Summary) *Table {
	sampled := ""
	for i := range s.Regions {
		if s.Regions[i].Sampled() {
			sampled = " (± is the standard error of an estimate, where a part of a region was observed)"
		}
	}
	t := NewTable("Memory: how much was needed"+sampled,
		Left("region"), Right("mapped"), Right("touched"), Right("share"), Right("never touched"))
	untouched, size := 0, int64(0)
	for i := range s.Regions {
		r := &s.Regions[i]
		if r.Faults == 0 && len(s.Regions) > 1 {
			untouched, size = untouched+1, size+r.Whole()
			continue
		}
		mapped := summary.Bytes(r.Mapped)
		if r.Ended() {
			mapped = "ended, " + summary.Bytes(r.Whole())
		} else if r.Whole() > r.Mapped {
			mapped += " of " + summary.Bytes(r.Whole())
		}
		t.Row(regionName(r), mapped, r.TouchedSize().String(), summary.Percent(r.Share()), r.Never().String())
	}
	if untouched > 0 {
		t.Row(fmt.Sprintf("(%s, never touched)", plural(untouched, "region")), summary.Bytes(size), summary.Bytes(0), summary.Percent(0), summary.Bytes(size))
	}
	return t
}

// renderMemory shows what the system says beside what was touched.
func renderMemory(s summary.Summary) *Table {
	t := NewTable("Memory of the process, as the system has it", Left(""), Left(""))
	for _, f := range s.Memory {
		t.Row(summary.FigureName(f.Name), f.Text)
	}
	return t
}

// plural writes a number of things.
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return summary.Count(n) + " " + thing
}

func renderStalls(s summary.Summary) *Table {
	t := NewTable("First touches: how long they waited (a stall starts when the profiler sees the fault)",
		Left("region"), Left("from"), Right("faults"), Right("p50"), Right("p99"), Spare{Right("max")}, Right("sum"))
	for i := range s.Regions {
		r := &s.Regions[i]
		if r.Faults == 0 {
			continue
		}
		cells := append([]string{regionName(r), "all", r.FaultsText()}, stallCells(r.Stall)...)
		cells[len(cells)-1] = r.StallText()
		t.Row(cells...)
		for _, src := range r.Sources {
			from := summary.SourceName(src.Name)
			if r.Sampled() {
				from += ", seen"
			}
			t.Row(append([]string{"", from, summary.Count(src.Faults)}, stallCells(src.Stall)...)...)
		}
	}
	return t
}

func stallCells(s summary.Stall) []string {
	p50, p99 := "-", "-"
	if s.Quantiles != nil {
		p50, p99 = summary.Duration(s.Quantiles.P50), summary.Duration(s.Quantiles.P99)
	}
	return []string{p50, p99, summary.Duration(s.Max), summary.Duration(s.Sum)}
}

func renderCallers(s summary.Summary) *Table {
	title := "Code that waited most"
	if s.Stacked < 0.99 {
		title += fmt.Sprintf(" (%s of the stall has a stack; the rest is given to the code that had stacks in the same region, of the same source and access)", summary.Percent(s.Stacked))
	}
	t := NewTable(title,
		Right("sum"), Spare{Right("max")}, Right("faults"), Left("function"), Spare{Left("line")}, Left("called from"))
	for _, c := range s.Callers {
		if c.Function == "" && c.Estimate.Faults == 0 {
			continue // all of it was given to others
		}
		function, line, from := callerCells(c)
		t.Row(summary.Duration(c.Estimate.Stall), summary.Duration(c.Stall.Max), summary.Count(int64(c.Estimate.Faults+0.5)),
			function, line, from)
	}
	return t
}

// callerCells are the cells that name a caller.
func callerCells(c summary.Caller) (function, line, from string) {
	function, line = c.Place()
	if c.From != "" {
		from = shorten(summary.ShortFunction(c.From), nameWidth)
	}
	return shorten(function, nameWidth), line, from
}

func renderRequests(s summary.Summary) *Table {
	q := s.Requests
	title := fmt.Sprintf("Slowest requests (%s of %s had first touches, and waited %s of their time for them%s)",
		summary.Count(q.WithFaults), summary.Count(q.Count), summary.Percent(summary.Ratio(int64(q.Stall), int64(q.Duration))), notKept(q))
	t := NewTable(title, Right("took"), Right("in faults"), Right("faults"), Spare{Right("longest")}, Spare{Right("touched")}, Left("request"), Spare{Left("trace")})
	for _, r := range s.Requests.Slowest {
		t.Row(summary.Duration(r.Duration), summary.Percent(r.StallShare()), summary.Count(r.Faults), summary.Duration(r.StallMax),
			summary.Bytes(r.Touched), shorten(r.Label(), nameWidth), r.TraceID)
	}
	return t
}

// notKept says how many requests are not known one by one, so that they are not among the slowest either.
func notKept(q summary.Requests) string {
	if q.Kept >= q.Count {
		return ""
	}
	return fmt.Sprintf("; %s earlier ones are in these sums only, see agent.WithFlightRecorder", summary.Count(q.Count-q.Kept))
}

func regionName(r *summary.Region) string { return shorten(cmp.Or(r.Label, r.Name), nameWidth) }
