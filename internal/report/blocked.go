package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// renderBlocked says who else waited: for how long all Ps stood in page faults, by file and code, and which requests lost that time to others.
func renderBlocked(w io.Writer, s summary.Summary) error {
	b, took := s.Engine.Blocked, s.End.Sub(s.Start)
	if b.All == 0 && b.GCStops == 0 {
		return nil
	}
	t := NewTable(fmt.Sprintf("Who else waited: for %s at least, %s of the time, all %s Ps stood in page faults, and nothing of the program ran",
		summary.Duration(b.All), summary.Percent(summary.Ratio(int64(b.All), int64(took))), summary.Count(uint64(b.Procs))),
		Right("all stood"), Right("part"), Left("for a page of, or in"), Spare{Left("line")}, Left("called from"))
	row := func(part time.Duration, name, line, from string) {
		if part > 0 {
			t.Row(summary.Duration(part), summary.Percent(summary.Ratio(int64(part), int64(b.All))), name, line, from)
		}
	}
	regions := slices.Clone(s.Regions)
	slices.SortStableFunc(regions, func(x, y summary.Region) int { return cmp.Compare(y.Blocked, x.Blocked) })
	for i := range regions[:min(len(regions), rowsMost)] {
		r := &regions[i]
		row(r.Blocked, shorten(regionName(r), nameWidth), "", "")
	}
	callers := slices.Clone(s.Callers)
	slices.SortStableFunc(callers, func(x, y summary.Caller) int { return cmp.Compare(y.Blocked, x.Blocked) })
	for _, c := range callers[:min(len(callers), rowsMost)] {
		function, line, from := callerCells(c)
		row(c.Blocked, function, line, from)
	}
	if b.All > 0 {
		if err := t.Write(w); err != nil {
			return err
		}
	}
	var lines []string
	var worst summary.Request
	for _, r := range s.Requests.Slowest {
		if r.Blocked > worst.Blocked {
			worst = r
		}
	}
	if worst.Blocked > 0 {
		lines = append(lines, fmt.Sprintf("Of the slowest requests, %s lost the most to faults of others: up to %s of %s.", shorten(worst.Label(), nameWidth), summary.Duration(worst.Blocked), summary.Duration(worst.Duration)))
	}
	if b.GCStops > 0 {
		lines = append(lines, fmt.Sprintf("%s of the garbage collector waited while a P stood in a page fault, for %s to %s because of it.", plural(int(b.GCStops), "stop"), summary.Duration(b.GCLeast), summary.Duration(b.GCMost)))
	}
	if len(lines) == 0 {
		return nil
	}
	_, err := io.WriteString(w, "  "+strings.Join(lines, "\n  ")+"\n\n")
	return err
}
