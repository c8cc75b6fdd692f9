package report

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// Limit is a condition on a comparison, under which B is not accepted: FailIf reads one.
type Limit struct {
	text     string
	quantity string
	less     bool // B is not accepted below the limit, not above it
	change   bool // the limit is of what B has more than A, not of what B has
	percent  bool // of A
	value    float64
}

// Verdict is what a Limit says of a comparison.
type Verdict struct {
	Limit  string `json:"limit"`
	Failed bool   `json:"failed"`
	// Unknown says why it cannot be told, where it cannot; Failed is then false.
	Unknown string `json:"unknown,omitempty"`
	Text    string `json:"text"` // in a sentence, with the figures
}

// limitForm is what a Limit looks like.
const limitForm = "QUANTITY >|< [+|-]NUMBER[%|KiB|MiB|GiB|ms|s...], QUANTITY one of touched, faults and stall: touched > +5%, stall > 2s, touched > +8MiB"

var limitPattern = regexp.MustCompile(`^\s*(touched|faults|stall)\s*([<>])\s*([+-]?)\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ%]*)\s*$`)

// FailIf reads a limit such as "touched > +5%". With a sign the number is what B has more or less than A, as a part of A in percent or by
// itself; without one it is what B has.
func FailIf(text string) (Limit, error) {
	m := limitPattern.FindStringSubmatch(text)
	if m == nil {
		return Limit{}, fmt.Errorf("%q is no limit: write %s", text, limitForm)
	}
	l := Limit{text: strings.TrimSpace(text), quantity: m[1], less: m[2] == "<", change: m[3] != ""}
	n, err := strconv.ParseFloat(m[3]+m[4], 64)
	if err != nil {
		return Limit{}, fmt.Errorf("%q is no limit: %w", text, err)
	}
	unit := m[5]
	if unit == "%" {
		if !l.change {
			return Limit{}, fmt.Errorf("%q is no limit: a percentage is of A, so write +%s%% or -%s%%", text, m[4], m[4])
		}
		l.percent, l.value = true, n/100
		return l, nil
	}
	by := map[string]map[string]float64{
		"touched": {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40},
		"faults":  {"": 1},
		"stall":   {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9},
	}[l.quantity]
	scale, ok := by[unit]
	if !ok {
		return Limit{}, fmt.Errorf("%q is no limit: %q is no unit of %s: write %s", text, unit, l.quantity, limitForm)
	}
	l.value = n * scale
	return l, nil
}

// sure is how many standard errors an estimate has to be away from a limit.
const sure = 2

// Of holds a comparison against the limit.
func (l Limit) Of(c Comparison) Verdict {
	a, b := c.A.amount(l.quantity), c.B.amount(l.quantity)
	v := Verdict{Limit: l.text, Text: fmt.Sprintf("%s: A %s, B %s (%s)", l.text, l.write(a), l.write(b), l.grown(a, b))}
	for _, s := range []struct {
		name string
		Side
	}{{"A", c.A}, {"B", c.B}} {
		switch {
		case s.name == "A" && !l.change:
		case s.Dropped > 0:
			v.Unknown = fmt.Sprintf("%s lost %s records", s.name, summary.Count(s.Dropped))
		case s.Estimate.Paused > 0:
			v.Unknown = fmt.Sprintf("nothing was observed for %s of %s", summary.Duration(s.Estimate.Paused), s.name)
		case s.StallsUnknown > 0 && l.quantity == "stall":
			v.Unknown = fmt.Sprintf("of %s first touches of %s nobody knows how long they waited", summary.Count(s.StallsUnknown), s.name)
		}
	}
	// distance is how far B is beyond the limit, and err its standard error.
	distance, err := b.value-l.value, b.err
	switch {
	case l.percent:
		distance, err = b.value-a.value*(1+l.value), math.Hypot(b.err, a.err*(1+l.value))
	case l.change:
		distance, err = b.value-a.value-l.value, math.Hypot(b.err, a.err)
	}
	if l.less {
		distance = -distance
	}
	if v.Unknown == "" && err > 0 && math.Abs(distance) < sure*err {
		v.Unknown = fmt.Sprintf("a part of the memory was observed, and the standard error of the difference is %s", l.write(amount{value: err}))
	}
	v.Failed = v.Unknown == "" && distance > 0
	return v
}

// amount is one quantity of a side, with its standard error where it is an estimate.
type amount struct{ value, err float64 }

func (s Side) amount(quantity string) amount {
	switch quantity {
	case "touched":
		return amount{s.Estimate.Touched, s.Estimate.TouchedError}
	case "faults":
		return amount{s.Estimate.Faults, s.Estimate.FaultsError}
	}
	return amount{float64(s.Estimate.Stall), float64(s.Estimate.StallError)}
}

func (l Limit) write(a amount) string {
	unit := func(n float64) string {
		switch l.quantity {
		case "touched":
			return summary.Bytes(int64(n))
		case "faults":
			return summary.Count(int64(n))
		}
		return summary.Duration(time.Duration(n))
	}
	if a.err > 0 {
		return unit(a.value) + " ± " + unit(a.err)
	}
	return unit(a.value)
}

// grown is the change from A to B in words.
func (l Limit) grown(a, b amount) string {
	d := b.value - a.value
	sign := "+"
	if d < 0 {
		sign = "-"
	}
	text := sign + l.write(amount{value: math.Abs(d)})
	if a.value > 0 {
		text += fmt.Sprintf(", %+.1f%%", 100*d/a.value)
	}
	return text
}
