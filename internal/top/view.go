package top

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/internal/report"
)

func show(o Options, before, now *agent.Document) error {
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
func render(where string, before, now *agent.Document) string {
	took := max(now.End.Sub(before.End), 1)
	d := delta(before, now)
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  the last %s of %s\n", where, now.End.UTC().Format(time.TimeOnly+" MST"), report.Duration(took), report.Duration(now.End.Sub(now.Start)))
	fmt.Fprintf(&b, "first touches %s/s  waiting %.2f threads  overhead %s of a core  dropped %s  without a span %s\n\n",
		rate(d.faults, took), float64(d.stall)/float64(took), report.Percent(float64(d.overhead)/float64(took)),
		report.Count(now.Stats.Dropped), report.Percent(share(now.Stats.Unattributed, now.Stats.Records)))
	regions := report.NewTable("Regions", report.Left("region"), report.Right("mapped"), report.Right("touched"), report.Right("new"),
		report.Right("faults/s"), report.Right("stall/s"), report.Right("p50"), report.Right("p99"))
	for _, r := range d.regions {
		regions.Row(filepath.Base(r.Name), report.Bytes(r.MappedBytes), report.Bytes(r.TouchedBytes), report.Bytes(r.newBytes),
			rate(r.newFaults, took), report.Duration(perSecond(r.newStall, took)), report.Duration(time.Duration(r.Stall.P50NS)), report.Duration(time.Duration(r.Stall.P99NS)))
	}
	callers := report.NewTable("Code that waited most since the last look, and in all", report.Right("stall/s"), report.Right("faults/s"), report.Right("stall"),
		report.Right("faults"), report.Left("function"), report.Left("line"))
	for _, c := range d.callers {
		callers.Row(report.Duration(perSecond(c.newStall, took)), rate(c.newFaults, took), report.Duration(c.stall), report.Count(c.faults), c.function, c.line)
	}
	if len(now.Regions) == 0 {
		b.WriteString(report.NothingObserved)
	}
	_ = regions.Write(&b) // a Builder takes everything
	_ = callers.Write(&b)
	for _, n := range now.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	return b.String()
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
	agent.DocumentRegion
	newBytes  int64
	newFaults uint64
	newStall  time.Duration
}

type caller struct {
	function, line    string
	faults, newFaults uint64
	stall, newStall   time.Duration
}

func delta(before, now *agent.Document) (d change) {
	d.overhead = time.Duration(now.Stats.OverheadNS - before.Stats.OverheadNS)
	was := make(map[uint32]agent.DocumentRegion, len(before.Regions))
	for _, r := range before.Regions {
		was[r.ID] = r
	}
	for _, r := range now.Regions {
		old := was[r.ID]
		c := regionChange{r, r.TouchedBytes - old.TouchedBytes, r.Faults - old.Faults, time.Duration(r.Stall.SumNS - old.Stall.SumNS)}
		d.faults += c.newFaults
		d.stall += c.newStall
		d.regions = append(d.regions, c)
	}
	total := make(map[string]*caller)
	for _, g := range now.Groups {
		c := at(total, now, g.Stack)
		c.faults, c.stall = c.faults+g.Faults, c.stall+time.Duration(g.StallNS)
		c.newFaults, c.newStall = c.newFaults+g.Faults, c.newStall+time.Duration(g.StallNS)
	}
	for _, g := range before.Groups {
		c := at(total, before, g.Stack)
		c.newFaults, c.newStall = c.newFaults-g.Faults, c.newStall-time.Duration(g.StallNS)
	}
	for _, c := range total {
		d.callers = append(d.callers, *c)
	}
	slices.SortFunc(d.callers, func(a, b caller) int {
		return cmp.Or(cmp.Compare(b.newStall, a.newStall), cmp.Compare(b.stall, a.stall), cmp.Compare(a.function, b.function), cmp.Compare(a.line, b.line))
	})
	return d
}

// at is the caller of a stack.
func at(total map[string]*caller, d *agent.Document, stack uint32) *caller {
	c := caller{function: "(no stack taken)"}
	if i, ok := slices.BinarySearchFunc(d.Stacks, stack, func(s agent.DocumentStack, id uint32) int { return cmp.Compare(s.ID, id) }); ok {
		c.function, c.line = report.Place(d.Stacks[i].Frames)
	}
	key := c.function + c.line
	if total[key] == nil {
		total[key] = &c
	}
	return total[key]
}
