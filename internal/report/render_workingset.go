package report

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/profiler"
)

// RenderWorkingSets writes the windows of each region, the last most of them, and what follows from them.
func RenderWorkingSets(w io.Writer, sets []summary.WorkingSet, most int) error {
	return renderWorkingSets(w, plain.Lines(sets), most)
}

// setsListed is how many regions' working sets are listed.
const setsListed = 100

func renderWorkingSets(w io.Writer, sets []summary.WorkingSet, most int) error {
	var errs []error
	for _, s := range sets[:min(len(sets), setsListed)] {
		errs = append(errs, renderWindowsOf(w, s, most), renderActors(w, s, most), renderCurve(w, s), renderMisses(w, s))
	}
	if n := len(sets) - setsListed; n > 0 {
		_, err := fmt.Fprintf(w, "%s more regions have working sets.\n\n", summary.Count(n))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// explain writes how to read the table above it.
func explain(w io.Writer, t *Table, text string) error {
	if err := t.write(w); err != nil {
		return err
	}
	_, err := io.WriteString(w, "  "+text+"\n\n")
	return err
}

func renderWindowsOf(w io.Writer, s summary.WorkingSet, most int) error {
	merged := idleMerged(s.Windows)
	list := merged[max(0, len(merged)-most):]
	if len(list) == 0 {
		return nil
	}
	title := fmt.Sprintf("Working set of %s by window", shorten(s.Label, nameWidth))
	if len(merged) < len(s.Windows) {
		title += ", those in a row without a touch as one"
	}
	if left := len(merged) - len(list); left > 0 {
		title += fmt.Sprintf(" (%s earlier ones are not listed)", summary.Count(left))
	}
	columns := []any{Right("from"), Right("to"), Right("touched"), Spare{Right("of mapped")}, Right("new"), Spare{Right("used again")}, Spare{Right("disk again")},
		Spare{Right("last 10 s")}, Spare{Right("idle 30 s")}, Spare{Right("idle 2 min")}, Spare{Right("idle 10 min")}, Right("never"), Left("phase")}
	const observed = 2 // where the share has its column
	sampled := slices.ContainsFunc(list, func(x summary.RegionWindow) bool { return x.Sampled() })
	if sampled {
		columns = slices.Insert(columns, observed, any(Right("observed")))
	}
	t := NewTable(title, columns...)
	var last string // why the last window that is not known is not
	for _, x := range list {
		cells := []string{summary.Duration(x.From), summary.Duration(x.To), estimate(x.Touched, x.TouchedError), summary.Percent(summary.Ratio(int64(x.Touched), int64(x.Mapped))),
			estimate(x.New, x.NewError), estimate(x.Reused, x.ReusedError), summary.Bytes(int64(x.Reread)), estimate(x.Touched10s, x.Touched10sError),
			estimate(x.Idle30s, x.Idle30sError), estimate(x.Idle2m, x.Idle2mError), estimate(x.Idle10m, x.Idle10mError),
			estimate(x.Never, x.NeverError), string(x.Phase)}
		if sampled {
			cells = slices.Insert(cells, observed, summary.Percent(x.Observed))
		}
		if x.Error != "" {
			last = x.Error
			for i := observed; i < len(cells); i++ {
				cells[i] = "?"
			}
			cells[len(cells)-1] = "not known"
		}
		t.Row(cells...)
	}
	text := "Touched is all that was used in the window; what is new was not used in any before. Idle was used, and not for so long; never is what the region could do without."
	if sampled {
		text += "\n  Observed is the share of the region that was watched all through the window: the sizes are estimates from it, ± their standard errors; those that look beyond the window are from the least share so far."
	}
	if last != "" {
		text += "\n  Not known: " + last
	}
	return explain(w, t, text)
}

// idleMerged makes one window of those in a row in which nothing was touched: rows of zeros say nothing, and hide those before them.
func idleMerged(list []summary.RegionWindow) (out []summary.RegionWindow) {
	idle := func(x *summary.RegionWindow) bool { return x.Error == "" && x.Touched == 0 && x.TouchedError == 0 }
	for i := range list {
		x := list[i]
		if n := len(out); n > 0 && idle(&x) && idle(&out[n-1]) && x.Mapped == out[n-1].Mapped && x.Observed == out[n-1].Observed {
			x.From = out[n-1].From
			out[n-1] = x
			continue
		}
		out = append(out, x)
	}
	return out
}

// renderActors shows on whose behalf the Go heap was touched in each window; nothing for other regions.
func renderActors(w io.Writer, s summary.WorkingSet, most int) error {
	var names []string
	for a := range profiler.ActorUnknown + 1 {
		if slices.ContainsFunc(s.Windows, func(x summary.RegionWindow) bool {
			return slices.ContainsFunc(x.Actors, func(y summary.WindowActor) bool { return y.Actor == a.String() })
		}) {
			names = append(names, a.String())
		}
	}
	if len(names) == 0 {
		return nil
	}
	columns := []any{Right("from"), Right("to")}
	for _, name := range names {
		columns = append(columns, Right(name))
	}
	t := NewTable(fmt.Sprintf("Who touched %s first, by window", shorten(s.Label, nameWidth)), columns...)
	merged := idleMerged(s.Windows)
	for _, x := range merged[max(0, len(merged)-most):] {
		cells := []string{summary.Duration(x.From), summary.Duration(x.To)}
		for _, name := range names {
			cell := "?"
			if x.Error == "" {
				cell = summary.Bytes(0)
			}
			for _, a := range x.Actors {
				if a.Actor == name {
					cell = estimate(a.Touched, a.Error)
				}
			}
			cells = append(cells, cell)
		}
		t.Row(cells...)
	}
	return explain(w, t, "By the stack of the first touch in the window. What the garbage collector came to first may have been used by the program later in the window.")
}

// estimate is a size with its standard error below it, where it has one, or a dash for a size that is not known yet.
func estimate[N int64 | summary.Known](k N, err int64) string {
	n := int64(k)
	switch {
	case n < 0:
		return "-"
	case err == 0:
		return summary.Bytes(n)
	}
	return summary.Bytes(n) + "\n± " + summary.Bytes(err)
}

func renderCurve(w io.Writer, s summary.WorkingSet) error {
	if len(s.Curve) == 0 {
		return nil
	}
	columns := []any{Right("windows"), Right("length"), Right("touched, mean")}
	sampled := slices.ContainsFunc(s.Curve, func(p summary.CurvePoint) bool { return p.Error != 0 })
	if sampled {
		columns = append(columns, Right("± error"))
	}
	t := NewTable("Its size by length of the window", columns...)
	for _, p := range s.Curve {
		cells := []string{strconv.Itoa(p.Windows), summary.Duration(p.Length), summary.Bytes(p.Bytes)}
		if sampled {
			cells = append(cells, summary.Bytes(p.Error))
		}
		t.Row(cells...)
	}
	return explain(w, t, "Where the size stops growing with the length, that much memory is enough for so long a time.")
}

func renderMisses(w io.Writer, s summary.WorkingSet) error {
	if len(s.Misses) == 0 {
		return nil
	}
	t := NewTable(fmt.Sprintf("First touches that a cache would miss (%s of the granules followed)", summary.Percent(s.Sample)),
		Right("cache"), Right("misses"), Right("± error"), Right("reused at that distance"))
	const all = 0.995 // of the small sizes, with which everything is missed, one row will do
	reused := 0.0     // of the rows that are left out
	for i, p := range s.Misses {
		reused += p.Reused
		if i+1 < len(s.Misses) && s.Misses[i+1].Miss >= all {
			continue
		}
		e := summary.Percent(p.Error)
		if s.Sample >= 1 {
			e = "exact"
		}
		t.Row(summary.Bytes(p.Bytes), summary.Percent(p.Miss), e, summary.Percent(reused))
		reused = 0
	}
	return explain(w, t, "Of the first touches per window, least recently used memory given up first. What is used again within a window is not counted, so it is an upper bound for all accesses. The reuse distance is how much was touched in between: the share with one up to the row's size, and beyond that of the row above.")
}
