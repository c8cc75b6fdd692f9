package report

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/plain"
)

// RenderComparison writes the comparison as aligned text.
func RenderComparison(w io.Writer, c Comparison) error {
	c = plain.Lines(c)
	return errors.Join(
		renderSides(c).Write(w),
		renderRegionChanges(c).Write(w),
		renderCallerChanges(c).Write(w),
		renderVerdicts(w, c),
	)
}

// renderVerdicts says which limits were kept.
func renderVerdicts(w io.Writer, c Comparison) error {
	text := ""
	for _, v := range c.Verdicts {
		switch {
		case v.Unknown != "":
			text += "CANNOT BE TOLD  " + v.Text + ": " + v.Unknown + "\n"
		case v.Failed:
			text += "FAILED          " + v.Text + "\n"
		default:
			text += "ok              " + v.Text + "\n"
		}
	}
	_, err := io.WriteString(w, text)
	return err
}

func renderSides(c Comparison) *Table {
	t := NewTable("What is compared", Left(""), Left("recording"), Spare{Left("from")}, Right("for"), Right("faults"), Right("touched"), Right("stall"),
		Right("requests"), Spare{Right("with faults")})
	for _, s := range []struct {
		name string
		Side
		q summary.Requests
	}{{"A", c.A, c.Requests.A}, {"B", c.B, c.Requests.B}} {
		t.Row(s.name, shorten(s.Source, nameWidth), s.Start.UTC().Format(time.DateTime), summary.Duration(s.Length), s.whole().FaultsText(), s.whole().TouchedSize().String(), s.whole().StallText(),
			summary.Count(s.q.Count), summary.Count(s.q.WithFaults))
	}
	return t
}

func renderRegionChanges(c Comparison) *Table {
	title := "Working sets: what was touched in A, in both, in B"
	if c.A.Sampled || c.B.Sampled {
		title += " (seen in the part that was observed)"
	}
	t := NewTable(title,
		Left("region"), Right("A alone"), Right("both"), Right("B alone"), Right("overlap"), Left(""))
	for _, r := range c.Regions {
		note := ""
		switch {
		case !r.InA:
			note = "not in A"
		case !r.InB:
			note = "not in B"
		}
		t.Row(shorten(r.Label, nameWidth), summary.Bytes(r.OnlyA), summary.Bytes(r.Both), summary.Bytes(r.OnlyB), summary.Percent(r.Overlap()), note)
	}
	return t
}

func renderCallerChanges(c Comparison) *Table {
	t := NewTable("Code, "+map[Order]string{ByTouched: "what touches more memory in B first", ByStall: "what waits longer in B first"}[c.By], Spare{Right("touched A")}, Spare{Right("touched B")}, Right("touched +/-"), Spare{Right("stall A")}, Spare{Right("stall B")}, Right("stall +/-"),
		Spare{Right("faults A")}, Spare{Right("faults B")}, Left("function"), Left("called from"))
	for _, x := range c.Callers {
		function := summary.ShortFunction(x.Function)
		if x.Function == "" {
			function = summary.NoStack
		}
		t.Row(summary.Bytes(int64(x.BytesA)), summary.Bytes(int64(x.BytesB)), signed(int64(x.BytesB)-int64(x.BytesA), summary.Bytes),
			summary.Duration(x.StallA), summary.Duration(x.StallB), signed(int64(x.StallB-x.StallA), func(n int64) string { return summary.Duration(time.Duration(n)) }),
			summary.Count(x.FaultsA), summary.Count(x.FaultsB), shorten(function, nameWidth), shorten(summary.ShortFunction(x.From), nameWidth))
	}
	return t
}

// signed writes a difference.
func signed(n int64, unit func(int64) string) string {
	switch {
	case n > 0:
		return "+" + unit(n)
	case n < 0:
		return "-" + unit(-n)
	}
	return fmt.Sprint(0)
}
