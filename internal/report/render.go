package report

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"

	"github.com/firsttouch/firsttouch/internal/plain"
)

// nameWidth bounds the columns that hold names.
const nameWidth = 44

// Render writes the summary as aligned text.
func Render(w io.Writer, s Summary) error {
	s = plain.Lines(s)
	return errors.Join(
		renderRegions(s).Write(w),
		renderHeap(w, s),
		renderStalls(s).Write(w),
		renderCallers(s).Write(w),
		renderRequests(s).Write(w),
		renderEngine(w, s),
	)
}

func renderRegions(s Summary) *Table {
	t := NewTable("Memory: how much was needed",
		Left("region"), Right("mapped"), Right("touched"), Right("share"), Right("never touched"))
	for _, r := range s.Regions {
		t.Row(regionName(r), Bytes(r.Mapped), Bytes(r.Touched), Percent(ratio(r.Touched, r.Mapped)), Bytes(r.Mapped-r.Touched))
	}
	return t
}

func renderStalls(s Summary) *Table {
	t := NewTable("First touches: how long they waited (a stall starts when the profiler sees the fault)",
		Left("region"), Left("from"), Right("faults"), Right("p50"), Right("p99"), Spare{Right("max")}, Right("sum"))
	for _, r := range s.Regions {
		t.Row(append([]string{regionName(r), "all", Count(r.Faults)}, stallCells(r.Stall)...)...)
		for _, src := range r.Sources {
			t.Row(append([]string{"", sourceName(src.Name), Count(src.Faults)}, stallCells(src.Stall)...)...)
		}
	}
	return t
}

func stallCells(s Stall) []string {
	p50, p99 := "-", "-"
	if s.Quantiles != nil {
		p50, p99 = Duration(s.Quantiles.P50), Duration(s.Quantiles.P99)
	}
	return []string{p50, p99, Duration(s.Max), Duration(s.Sum)}
}

func renderCallers(s Summary) *Table {
	t := NewTable("Code that waited most",
		Right("sum"), Spare{Right("max")}, Right("faults"), Left("function"), Spare{Left("line")}, Left("called from"))
	for _, c := range s.Callers {
		function, line := ShortFunction(c.Function), filepath.Base(c.File)+":"+strconv.Itoa(c.Line)
		if c.Function == "" {
			function, line = "(no stack taken)", ""
		}
		t.Row(Duration(c.Stall.Sum), Duration(c.Stall.Max), Count(c.Faults),
			shorten(function, nameWidth), line, shorten(ShortFunction(c.From), nameWidth))
	}
	return t
}

func renderRequests(s Summary) *Table {
	q := s.Requests
	title := fmt.Sprintf("Slowest requests (%s of %s had first touches, and waited %s of their time for them)",
		Count(q.WithFaults), Count(q.Count), Percent(ratio(int64(q.Stall), int64(q.Duration))))
	t := NewTable(title, Right("took"), Right("in faults"), Right("faults"), Spare{Right("longest")}, Spare{Right("touched")}, Left("request"), Spare{Left("trace")})
	for _, r := range s.Requests.Slowest {
		t.Row(Duration(r.Duration), Percent(r.StallShare()), Count(r.Faults), Duration(r.StallMax),
			Bytes(r.Touched), shorten(r.Label(), nameWidth), r.TraceID)
	}
	return t
}

func regionName(r Region) string { return shorten(filepath.Base(r.Name), nameWidth) }

func sourceName(name string) string {
	if name == "page_cache" {
		return "page cache"
	}
	return name
}
