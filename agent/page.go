package agent

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter/findings"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/endpoint"
	"github.com/firsttouch/firsttouch/profiler"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"bytes": of(summary.Bytes), "count": of(summary.Count[int64]), "duration": summary.Duration, "percent": summary.Percent, "words": words,
}).Parse(pageText))

// whole is any number as a whole one.
func whole(n any) (int64, error) {
	switch n := n.(type) {
	case int:
		return int64(n), nil
	case int64:
		return n, nil
	case uint64:
		return int64(min(n, math.MaxInt64)), nil
	case float64:
		return int64(n + 0.5), nil
	}
	return 0, fmt.Errorf("%T is no number", n)
}

// of makes a function for the template that writes any number as write does.
func of(write func(int64) string) func(any) (string, error) {
	return func(n any) (string, error) {
		v, err := whole(n)
		return write(v), err
	}
}

// words writes a name of the JSON as words.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// pageRegions is how many regions the page lists; the last one stands for all that are more.
const pageRegions = 200

// pageCallers is how many callers the page lists.
const pageCallers = 25

// pageContent is what the template shows.
type pageContent struct {
	Active     bool // there is something to show
	Off        bool // but nothing comes any more
	Shadow     *Shadow
	Reason     string
	Advised    []string // regions that may be advised
	Host, Base string   // where the client reached us, for the commands to copy
	*summary.Summary
	Total pageTotal
}

// pageTotal sums up the regions.
type pageTotal struct {
	Mapped, Touched summary.Size
	Stall           time.Duration
	Covered         time.Duration // from the start of the profile to now
}

// pageSlice is one of the equal parts of a region, for the strip that shows where it was touched.
type pageSlice struct {
	X       int
	Opacity float64 // from the share of the part that was touched
}

func (a *Agent) servePage(w http.ResponseWriter, r *http.Request) {
	if !endpoint.Begin(w) {
		return
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, a.page(hostOf(r))); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header(w, "text/html; charset=utf-8")
	// The page asks for nothing but advice and runs nothing, whatever the names in it hold.
	forms := "'none'"
	if a.cfg.advice {
		forms = "'self'"
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action "+forms+"; frame-ancestors 'none'")
	// An error here is the client's: it has left.
	_, _ = w.Write(b.Bytes())
}

func (a *Agent) page(host string) *pageContent {
	c := &pageContent{Shadow: a.Shadow(), Active: a.prof != nil, Off: a.off.Load() != nil, Reason: a.Reason(), Host: host, Base: basePath, Summary: &summary.Summary{}}
	if a.prof == nil {
		c.Engine.Notes = a.Notes()[len(a.offNotes()):]
		return c
	}
	c.fill(a.totals())
	if a.cfg.advice && a.observes() {
		for _, r := range a.owned() {
			c.Advised = append(c.Advised, r.Name())
		}
	}
	c.Engine.Notes = joinNotes(a.Notes()[len(a.offNotes()):], slices.DeleteFunc(c.Engine.Notes, func(n string) bool { return slices.Contains(a.offNotes(), n) }))
	return c
}

// fill takes over what was recorded.
func (c *pageContent) fill(r *recording.Recording) {
	limits := summary.DefaultLimits()
	limits.Callers, limits.Regions, limits.Times = pageCallers, pageRegions, 0
	s := findings.Summarize(r, limits)
	c.Summary, c.Total.Covered = &s, s.End.Sub(s.Start)
	for i := range s.Regions {
		t := s.Regions[i].TouchedSize()
		c.Total.Mapped.Bytes += s.Regions[i].Mapped
		c.Total.Touched.Bytes += t.Bytes
		c.Total.Touched.Error = int64(math.Hypot(float64(c.Total.Touched.Error), float64(t.Error)))
		c.Total.Stall += s.Regions[i].Stall.Sum
	}
}

// faintest keeps a part of which little was touched visible against the background.
const faintest = 0.25

// Strip leaves out the untouched parts of a region.
func (c *pageContent) Strip(r summary.Region) (out []pageSlice) {
	width := float64(r.Size) / float64(max(len(r.Slices), 1))
	for i, touched := range r.Slices {
		if touched > 0 {
			share := min(float64(touched)/width, 1)
			out = append(out, pageSlice{X: i, Opacity: math.Round(1000*(faintest+(1-faintest)*share)) / 1000})
		}
	}
	return out
}

// StallShare is the stall as a share of the time covered: 1 is one thread that always waits.
func (t pageTotal) StallShare() float64 { return summary.Ratio(int64(t.Stall), int64(t.Covered)) }

// OverheadShare is the processor time of the profiler's threads as a share of one core.
func (c *pageContent) OverheadShare() float64 {
	return summary.Ratio(int64(c.Engine.Overhead), int64(c.Total.Covered))
}

// CallerShare is a caller's share of all stall.
func (c *pageContent) CallerShare(x summary.Caller) float64 {
	all := time.Duration(0)
	for i := range c.Regions {
		if r := &c.Regions[i]; r.Sampled() {
			all += r.Estimate.Stall
		} else {
			all += r.Stall.Sum
		}
	}
	return min(summary.Ratio(int64(x.Estimate.Stall), int64(all)), 1)
}

// FromDisk counts the faults of a region whose page came from storage.
func (c *pageContent) FromDisk(r summary.Region) (n uint64) {
	for _, s := range r.Sources {
		if s.Name == profiler.SourceDisk.String() {
			n += s.Faults
		}
	}
	return n
}

// plainHost is what may stand in a command that a user copies into a shell.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9.\-:\[\]]+$`)

func hostOf(r *http.Request) string {
	if plainHost.MatchString(r.Host) {
		return r.Host
	}
	return "HOST:PORT"
}
