package top

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/internal/report"
)

func show(o Options, before, now *summary.Summary) error {
	text := render(plain.Line(o.Agent), plain.Lines(before), plain.Lines(now))
	if o.Screen == nil {
		_, err := io.WriteString(o.Out, text)
		return err
	}
	columns, rows := o.Screen()
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	var b strings.Builder
	b.WriteString(home)
	for _, l := range lines[:min(len(lines), max(rows-1, 0))] {
		if r := []rune(l); len(r) > columns {
			l = string(r[:columns])
		}
		b.WriteString(l + wipe)
	}
	b.WriteString(below)
	_, err := io.WriteString(o.Out, b.String())
	return err
}

// render writes one look as text.
func render(where string, before, now *summary.Summary) string {
	took := max(now.End.Sub(before.End), 1)
	d := delta(before, now)
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  the last %s of %s\n", where, now.End.UTC().Format(time.TimeOnly+" MST"), summary.Duration(took), summary.Duration(now.End.Sub(now.Start)))
	fmt.Fprintf(&b, "first touches %s/s  waiting %.2f threads  overhead %s of a core  dropped %s  without a span %s\n\n",
		rate(d.faults, took), float64(d.stall)/float64(took), summary.Percent(float64(d.overhead)/float64(took)),
		summary.Count(now.Engine.Dropped), summary.Percent(share(now.Engine.Unattributed, now.Engine.Records)))
	regions := report.NewTable("Regions", report.Left("region"), report.Right("mapped"), report.Right("touched"), report.Right("new"),
		report.Right("faults/s"), report.Right("stall/s"), report.Right("p50"), report.Right("p99"))
	for _, r := range d.regions {
		regions.Row(r.Label, summary.Bytes(r.Mapped), r.TouchedSize().String(), summary.Bytes(r.newBytes),
			rate(r.newFaults, took), summary.Duration(perSecond(r.newStall, took)), quantile(r.Stall, func(q *summary.Quantiles) time.Duration { return q.P50 }), quantile(r.Stall, func(q *summary.Quantiles) time.Duration { return q.P99 }))
	}
	callers := report.NewTable("Code that waited most since the last look, and in all", report.Right("stall/s"), report.Right("faults/s"), report.Right("stall"),
		report.Right("faults"), report.Left("function"), report.Left("line"))
	for _, c := range d.callers {
		callers.Row(summary.Duration(perSecond(c.newStall, took)), rate(uint64(c.newFaults+0.5), took), summary.Duration(c.stall), summary.Count(int64(c.faults+0.5)), c.function, c.line)
	}
	if len(now.Regions) == 0 {
		b.WriteString(report.NothingObserved)
	}
	_ = regions.Write(&b) // a Builder takes everything
	_ = callers.Write(&b)
	for _, n := range now.Engine.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	return b.String()
}

func quantile(s summary.Stall, of func(*summary.Quantiles) time.Duration) string {
	if s.Quantiles == nil {
		return "-"
	}
	return summary.Duration(of(s.Quantiles))
}

func rate(n uint64, d time.Duration) string {
	return strconv.FormatFloat(float64(n)/d.Seconds(), 'f', 0, 64)
}

func perSecond(stall, d time.Duration) time.Duration {
	return time.Duration(float64(stall) / d.Seconds())
}

func share(part, whole uint64) float64 { return float64(part) / float64(max(whole, 1)) }

// change is what happened between two looks.
type change struct {
	faults          uint64
	stall, overhead time.Duration
	regions         []regionChange
	callers         []caller // most stall since the last look first, then in all
}

type regionChange struct {
	*summary.Region
	newBytes  int64
	newFaults uint64
	newStall  time.Duration
}

// caller is a line of code, with what a summary.CallerEstimate has.
type caller struct {
	function, line    string
	faults, newFaults float64
	stall, newStall   time.Duration
}

func delta(before, now *summary.Summary) (d change) {
	d.overhead = now.Engine.Overhead - before.Engine.Overhead
	was := make(map[uint32]*summary.Region, len(before.Regions))
	for i := range before.Regions {
		was[before.Regions[i].ID] = &before.Regions[i]
	}
	for i := range now.Regions {
		r, old := &now.Regions[i], was[now.Regions[i].ID]
		if old == nil {
			old = &summary.Region{}
		}
		c := regionChange{r, r.TouchedSize().Bytes - old.TouchedSize().Bytes, r.Faults - old.Faults, r.Stall.Sum - old.Stall.Sum}
		d.faults += c.newFaults
		d.stall += c.newStall
		d.regions = append(d.regions, c)
	}
	total := make(map[string]*caller)
	for i := range now.Callers {
		c, e := at(total, &now.Callers[i]), now.Callers[i].Estimate
		c.faults, c.stall = c.faults+e.Faults, c.stall+e.Stall
		c.newFaults, c.newStall = c.newFaults+e.Faults, c.newStall+e.Stall
	}
	for i := range before.Callers {
		c, e := at(total, &before.Callers[i]), before.Callers[i].Estimate
		c.newFaults, c.newStall = c.newFaults-e.Faults, c.newStall-e.Stall
	}
	for _, c := range total {
		// What stands for faults without a stack may be given to somebody else at the next look.
		c.newFaults, c.newStall = max(c.newFaults, 0), max(c.newStall, 0)
		if c.faults >= 0.5 {
			d.callers = append(d.callers, *c)
		}
	}
	slices.SortFunc(d.callers, func(a, b caller) int {
		return cmp.Or(cmp.Compare(b.newStall, a.newStall), cmp.Compare(b.stall, a.stall), cmp.Compare(a.function, b.function), cmp.Compare(a.line, b.line))
	})
	return d
}

// at is the line of code of a caller, whoever called it.
func at(total map[string]*caller, of *summary.Caller) *caller {
	var c caller
	c.function, c.line = of.Place()
	key := c.function + c.line
	if total[key] == nil {
		total[key] = &c
	}
	return total[key]
}
