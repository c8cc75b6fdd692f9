package agent

import (
	"bytes"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
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
	c := &pageContent{Active: true, Host: "127.0.0.1:6070", Base: basePath}
	s := sample()
	s.Stats.Notes = append(s.Stats.Notes, "a note of the <agent>")
	c.fill(&recording.Recording{Snapshot: s})
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
		"12.0 KiB of 256 KiB, 4.7%",             // share of the file
		`<rect x="63" width="1" height="1" fill-opacity="1"/>`,
		"5 = 3 + 2",
		summary.NoStack,
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
	c.fill(&recording.Recording{Snapshot: sample()})
	for _, page := range []string{render(t, c), render(t, &pageContent{Reason: "r", Summary: &summary.Summary{}})} {
		if m := regexp.MustCompile(`(?i)<script|<link|<img|@import|url\(|(src|href)="[a-z]*:?//`).FindString(page); m != "" {
			t.Errorf("the page holds %q", m)
		}
	}
}

func TestPageOfAnIdleAgent(t *testing.T) {
	got := render(t, &pageContent{Reason: "set vm.unprivileged_userfaultfd=1 & restart", Summary: &summary.Summary{}})
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
