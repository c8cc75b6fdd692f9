package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/report"
)

func TestFailIf(t *testing.T) {
	c := report.Comparison{
		A: report.Side{Estimate: summary.Estimate{Touched: 100 << 20, Faults: 1000, Stall: time.Second}},
		B: report.Side{Estimate: summary.Estimate{Touched: 110 << 20, Faults: 990, Stall: 2 * time.Second}},
	}
	estimated := c
	estimated.B.Estimate.TouchedError = 4 << 20
	lossy := c
	lossy.B.Dropped = 1
	paused := c
	paused.A.Estimate.Paused = time.Second
	empty := c
	empty.A.Estimate = summary.Estimate{}
	for _, test := range []struct {
		limit    string
		of       report.Comparison
		failed   bool
		unknown  bool
		contains string
	}{
		{"touched > +5%", c, true, false, "+10.0%"},
		{"touched > +10%", c, false, false, ""},
		{"touched>+8MiB", c, true, false, "A 100 MiB, B 110 MiB"},
		{"touched > 120MiB", c, false, false, ""},
		{"touched < 120 MiB", c, true, false, ""},
		{"faults > +0%", c, false, false, "-1.0%"},
		{"faults < -0.5%", c, true, false, ""},
		{"faults > 989", c, true, false, ""},
		{"stall > 1.5s", c, true, false, ""},
		{"stall > +1500ms", c, false, false, ""},
		{"touched > +5%", estimated, false, true, "standard error"},
		{"touched > +1%", estimated, true, false, "±"},
		{"touched > +50%", estimated, false, false, ""},
		{"touched > +50%", lossy, false, true, "lost"},
		{"touched > +5%", paused, false, true, "nothing was observed"},
		{"touched > 1GiB", paused, false, false, ""}, // A does not matter
		{"touched > +5%", empty, true, false, ""},
	} {
		l, err := report.FailIf(test.limit)
		if err != nil {
			t.Error(err)
			continue
		}
		v := l.Of(test.of)
		if v.Failed != test.failed || (v.Unknown != "") != test.unknown || !strings.Contains(v.Text+v.Unknown, test.contains) {
			t.Errorf("%s: %+v", test.limit, v)
		}
	}
	for _, bad := range []string{"", "touched", "touched > 5%", "pages > 3", "stall > +5MiB", "touched > +5s", "touched >= 5", "faults > 3KiB", "touched > +x%"} {
		if _, err := report.FailIf(bad); err == nil || !strings.Contains(err.Error(), "write ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
