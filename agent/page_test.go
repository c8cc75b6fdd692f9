package agent

import (
	"bytes"
	"math"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

func render(t *testing.T, c *pageContent) string {
	t.Helper()
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPage(t *testing.T) {
	c := &pageContent{Active: true, Notes: []string{"a note of the <agent>"}, Host: "127.0.0.1:6070", Base: basePath}
	c.fill(sample())
	got := render(t, c)
	for _, want := range []string{
		"/var/lib/app/&lt;data&gt;.db",
		"a note of the &lt;agent&gt;",
		"a note of the profiler",
		"a note of the region",
		"12.0 KiB<small>of 1.25 MiB mapped now", // touched of mapped, both regions
		"<dd>5<small>3 kernel messages",         // faults: 3 records and 2 dropped
		"<td>244 KiB</td>",                      // never touched
		"<td>2.00 ms</td>",                      // longest stall
		"12.0 KiB of 256 KiB, 4.69%",            // share of the file
		`<rect x="63" width="1" height="1" fill-opacity="1"/>`,
		"5 = 3 + 2",
		noStack,
		"go tool pprof -http=: http://127.0.0.1:6070/debug/firsttouch/profile",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// TestPageAsksForNothing: no address of another origin, no script.
func TestPageAsksForNothing(t *testing.T) {
	c := &pageContent{Active: true, Host: "h:1", Base: basePath}
	c.fill(sample())
	for _, page := range []string{render(t, c), render(t, &pageContent{Reason: "r"})} {
		if m := regexp.MustCompile(`(?i)<script|<link|<img|@import|url\(|(src|href)="[a-z]*:?//`).FindString(page); m != "" {
			t.Errorf("the page holds %q", m)
		}
	}
}

func TestPageOfAnIdleAgent(t *testing.T) {
	got := render(t, &pageContent{Reason: "set vm.unprivileged_userfaultfd=1 & restart"})
	if !strings.Contains(got, "set vm.unprivileged_userfaultfd=1 &amp; restart") || strings.Contains(got, "Regions") {
		t.Errorf("%s", got)
	}
}

func TestHostOf(t *testing.T) {
	for host, want := range map[string]string{
		"127.0.0.1:6070": "127.0.0.1:6070", "[::1]:80": "[::1]:80", "svc.example": "svc.example",
		"x;reboot": "HOST:PORT", "$(id)": "HOST:PORT", "": "HOST:PORT",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		if got := hostOf(r); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

//go:noinline
func leaf() []uintptr {
	pcs := make([]uintptr, 16)
	return pcs[:runtime.Callers(1, pcs)]
}

func TestTopCallers(t *testing.T) {
	b := profiler.NewSnapshotBuilder()
	r := b.AddRegion(profiler.RegionStats{Name: "r", Granule: 4096, Size: 1 << 20})
	stack := b.AddStack(leaf())
	b.AddFault(profiler.Fault{Region: r, Stack: stack, Stall: 5, Access: profiler.Write})
	b.AddFault(profiler.Fault{Region: r, Stack: stack, Stall: 9, Offset: 4096})
	b.AddFault(profiler.Fault{Region: r, Stall: 1, Offset: 8192})
	top, rest := topCallers(b.Snapshot(), 9)
	if len(top) != 2 || rest != 0 || top[1].Function != noStack || top[1].Faults != 1 {
		t.Fatalf("%+v, %d left out", top, rest)
	}
	c := top[0]
	if !strings.HasSuffix(c.Function, "agent.leaf") || c.Faults != 2 || c.Stall != 14 || c.Max != 9 || c.Mean() != 7 || c.Bytes != 8192 || c.Line == 0 {
		t.Errorf("%+v", c)
	}
	if top, rest := topCallers(b.Snapshot(), 1); len(top) != 1 || rest != 1 {
		t.Errorf("%+v, %d left out, want 1 and 1", top, rest)
	}
}

func TestFormat(t *testing.T) {
	for n, want := range map[any]string{0: "0 B", 999: "999 B", 1000: "0.98 KiB", uint64(4096): "4.00 KiB", int64(10 << 20): "10.0 MiB", int64(math.MaxInt64): "8.00 EiB"} {
		if got, err := showBytes(n); got != want || err != nil {
			t.Errorf("bytes %v: %q %v, want %q", n, got, err, want)
		}
	}
	if _, err := showBytes("x"); err == nil {
		t.Error("bytes of a word: no error")
	}
	for d, want := range map[time.Duration]string{0: "0", 12: "12 ns", 1500: "1.50 µs", 23 * time.Millisecond: "23.0 ms", 119 * time.Second: "119 s", 61 * time.Minute: "1h1m0s"} {
		if got := showDuration(d); got != want {
			t.Errorf("duration %d: %q, want %q", d, got, want)
		}
	}
	for n, want := range map[any]string{0: "0", 999: "999", uint64(1000): "1,000", 1234567: "1,234,567"} {
		if got := showCount(n); got != want {
			t.Errorf("count %v: %q, want %q", n, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0.00%", 0.00001: "<0.01%", 0.0123: "1.23%", 1: "100%"} {
		if got := showPercent(v); got != want {
			t.Errorf("percent %v: %q, want %q", v, got, want)
		}
	}
}
