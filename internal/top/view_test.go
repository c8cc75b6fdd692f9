package top

import (
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// document is a look with so many faults of a millisecond by one of two callers.
func document(at time.Duration, db, handler uint64) *summary.Summary {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	caller := func(function, file string, line int, n uint64) summary.Caller {
		return summary.Caller{Function: function, File: file, Line: line, Estimate: summary.CallerEstimate{Faults: float64(n), Stall: time.Duration(n) * time.Millisecond}}
	}
	all := time.Duration(db+handler) * time.Millisecond
	return &summary.Summary{
		Start: start, End: start.Add(at), Engine: summary.Engine{Overhead: at / 4},
		Callers: []summary.Caller{caller("a/db.read", "/src/db.go", 7, db), caller("a/web.handle", "/src/web.go", 8, handler), {}},
		Regions: []summary.Region{{Name: "/x/data.db", Label: "data.db", Mapped: 1 << 20, Touched: int64(db+handler) * 4096, Faults: db + handler,
			Stall: summary.Stall{Sum: all, Quantiles: &summary.Quantiles{P50: time.Millisecond, P99: time.Millisecond}}}},
	}
}

func TestViewShowsWhatChanged(t *testing.T) {
	text := render("host:1", document(10*time.Second, 100, 10), document(12*time.Second, 100, 30))
	for _, want := range []string{
		"host:1  03:04:17 UTC  the last 2.00 s of 12.0 s",
		"first touches 10/s  waiting 0.01 threads  overhead 25% of a core",
		"data.db  1.00 MiB  520 KiB  80.0 KiB        10  10.0 ms",
		"10.0 ms        10  30.0 ms      30  web.handle  web.go:8",
		"0 ns         0   100 ms     100  db.read     db.go:7",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing from\n%s", want, text)
		}
	}
	if strings.Index(text, "web.handle") > strings.Index(text, "db.read") {
		t.Error("what waited since the last look is not first")
	}
}

func TestScreenIsNotOverflown(t *testing.T) {
	var b strings.Builder
	o := Options{Agent: "host:1", Out: &b, Screen: func() (int, int) { return 30, 6 }}
	if err := show(o, document(0, 0, 0), document(time.Second, 1, 1)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(b.String(), home), below), wipe)
	if len(lines) > 6 {
		t.Errorf("%d lines on a screen of 6", len(lines))
	}
	for _, l := range lines {
		if len([]rune(l)) > 30 {
			t.Errorf("%q is longer than 30", l)
		}
	}
}
