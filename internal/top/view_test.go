package top

import (
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/agent"
)

// document is a look with so many faults of a millisecond by one of two callers.
func document(at time.Duration, db, handler uint64) *agent.Document {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	group := func(stack uint32, n uint64) agent.DocumentGroup {
		return agent.DocumentGroup{Stack: stack, Faults: n, StallNS: int64(n) * int64(time.Millisecond)}
	}
	d := &agent.Document{Start: start, End: start.Add(at), Groups: []agent.DocumentGroup{group(1, db), group(2, handler), group(0, 0)},
		Stacks: []agent.DocumentStack{
			{ID: 1, Frames: []agent.DocumentFrame{{Function: "runtime.memmove"}, {Function: "a/db.read", File: "db.go", Line: 7}}},
			{ID: 2, Frames: []agent.DocumentFrame{{Function: "a/web.handle", File: "web.go", Line: 8}}},
		}}
	d.Stats.OverheadNS = int64(at) / 4
	r := agent.DocumentRegion{Name: "/x/data.db", MappedBytes: 1 << 20, TouchedBytes: int64(db+handler) * 4096, Faults: db + handler}
	r.Stall.SumNS = int64(db+handler) * int64(time.Millisecond)
	d.Regions = []agent.DocumentRegion{r}
	return d
}

func TestViewShowsWhatChanged(t *testing.T) {
	text := render("host:1", document(10*time.Second, 100, 10), document(12*time.Second, 100, 30))
	for _, want := range []string{
		"host:1  03:04:17 UTC  the last 2.00 s of 12.0 s",
		"first touches 10/s  waiting 0.01 threads  overhead 25% of a core",
		"data.db  1.0 MiB  520 KiB  80 KiB        10  10.0 ms",
		"10.0 ms        10  30.0 ms      30  web.handle        web.go:8",
		"0 ns         0   100 ms     100  db.read           db.go:7",
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
