package summary_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

func TestBuildSources(t *testing.T) {
	sum := summary.Build(snapshot(), summary.Listed(requests()), summary.DefaultLimits())
	file := sum.Regions[0]
	if file.Faults != 104 || file.Touched != 104*4096 || len(file.Sources) != 2 {
		t.Fatalf("got %+v", file)
	}
	disk, cache := file.Sources[0], file.Sources[1]
	if disk.Name != "disk" || disk.Faults != 4 || disk.Stall.Sum != 10*time.Millisecond || disk.Stall.Max != 4*time.Millisecond {
		t.Errorf("disk: %+v", disk)
	}
	// By the documented error of the buckets: at most 1/16 too high. The one slow touch is the p99.
	if q := cache.Stall.Quantiles; cache.Faults != 100 || q == nil || q.P50 < 10*time.Microsecond || q.P50 > 10625*time.Nanosecond {
		t.Errorf("page cache: %+v, quantiles %+v", cache, q)
	}
	if q := disk.Stall.Quantiles; q.P99 > disk.Stall.Max || q.P50 < 2*time.Millisecond || q.P50 > 2125*time.Microsecond {
		t.Errorf("disk quantiles: %+v", q)
	}
}

func TestBuildCallers(t *testing.T) {
	sum := summary.Build(snapshot(), summary.RequestList{}, summary.DefaultLimits())
	if len(sum.Callers) != 3 {
		t.Fatalf("%d callers, want 3: %+v", len(sum.Callers), sum.Callers)
	}
	first := sum.Callers[0]
	// bytes.Clone serves others: the blame goes to who called it.
	if !strings.HasSuffix(first.Function, "summary_test.library") || first.From != "encoding/json.Marshal" {
		t.Errorf("first caller: %s from %s", first.Function, first.From)
	}
	if first.Faults != 103 || first.Bytes != 103*4096 || first.Stall.Max != 4*time.Millisecond {
		t.Errorf("first caller: %+v", first)
	}
	if last := sum.Callers[2]; last.Function != "" || last.Faults != 1 {
		t.Errorf("the fault without a stack: %+v", last)
	}
}

func TestBuildRequests(t *testing.T) {
	r := summary.Build(snapshot(), summary.Listed(requests()), summary.Limits{Requests: 2}).Requests
	if r.Count != 4 || r.WithFaults != 1 || r.Attributed != 104 || r.Unattributed != 1 {
		t.Errorf("got %+v", r)
	}
	if len(r.Slowest) != 2 || r.Slowest[0].SpanID != "b" || r.Slowest[1].SpanID != "c" {
		t.Errorf("slowest: %+v", r.Slowest)
	}
	if got := r.Slowest[0].StallShare(); got != 0.55 {
		t.Errorf("share %v, want 0.55", got)
	}
}

func TestFormat(t *testing.T) {
	for want, got := range map[string]string{
		"0 ns":    summary.Duration(0),
		"999 ns":  summary.Duration(999),
		"1.00 µs": summary.Duration(time.Microsecond),
		"10.0 µs": summary.Duration(9996 * time.Nanosecond),
		"123 ms":  summary.Duration(123456 * time.Microsecond),
		"59.9 s":  summary.Duration(59900 * time.Millisecond),
		"1h0m0s":  summary.Duration(time.Hour),
		"0%":      summary.Percent(0),
		"<0.1%":   summary.Percent(0.0001),
		"9.9%":    summary.Percent(0.099),
		"12%":     summary.Percent(0.123),
		"150%":    summary.Percent(1.5),
		"165 MiB": summary.Bytes(173363200),
		"0 B":     summary.Bytes(-1),
		"1,234":   summary.Count(1234),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCallersOfALibrary(t *testing.T) {
	frame := func(function, file string) runtime.Frame { return runtime.Frame{Function: function, File: file} }
	asm := frame("cmpbody", "/go/src/internal/bytealg/compare_amd64.s")
	page := frame("go.etcd.io/bbolt/internal/common.(*Page).FastCheck", "page.go")
	tx := frame("go.etcd.io/bbolt.(*Tx).page", "tx.go")
	mine := frame("example.com/app/internal/store.(*Store).Get", "store.go")
	root := frame("example.com/app.main", "main.go")
	exit := frame("runtime.goexit", "/go/src/runtime/asm_amd64.s")
	for _, tt := range []struct {
		name     string
		frames   []runtime.Frame
		at, from string
	}{
		{"the library's internals are the library", []runtime.Frame{asm, page, tx, mine, exit}, page.Function, mine.Function},
		{"an application's internals are told apart", []runtime.Frame{mine, frame("example.com/app/internal/web.Handle", ""), root}, mine.Function, "example.com/app/internal/web.Handle"},
		{"and end at its root", []runtime.Frame{mine, root, exit}, mine.Function, root.Function},
		{"who runs a callback has not asked for it", []runtime.Frame{frame("a/store.get", ""), frame("a/store.(*Store).Find.func1", ""),
			frame("b/db.(*DB).View", ""), frame("a/store.(*Store).Find", ""), frame("a/web.Handle", "")}, "a/store.get", "a/web.Handle"},
		{"unless nobody else is there", []runtime.Frame{frame("a/store.Find.func1", ""), frame("b/db.(*DB).View", ""), exit},
			"a/store.Find.func1", "b/db.(*DB).View"},
		{"a goroutine of its own", []runtime.Frame{frame("a/store.get", ""), frame("a/store.All.func1.1", ""), frame("b/db.View", ""),
			frame("a/store.All.func1", ""), exit}, "a/store.get", "a/store.All.func1"},
		{"the runtime alone", []runtime.Frame{exit}, exit.Function, ""},
		{"type arguments", []runtime.Frame{frame("a/b.F[go.shape.struct { c/d.E int }]", ""), frame("a/b.G", ""), frame("c/d.H", "")},
			"a/b.F[go.shape.struct { c/d.E int }]", "c/d.H"},
		{"C code", []runtime.Frame{frame("lookup", "/src/db.c"), root}, "lookup", root.Function},
		{"nothing", nil, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at, from := summary.Blame(tt.frames)
			if at.Function != tt.at || from.Function != tt.from {
				t.Errorf("got %q from %q, want %q from %q", at.Function, from.Function, tt.at, tt.from)
			}
		})
	}
}
