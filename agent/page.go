package agent

import (
	"bytes"
	_ "embed"
	"html/template"
	"math"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/internal/endpoint"
	"github.com/firsttouch/firsttouch/profiler"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"bytes": showBytes, "count": showCount, "duration": showDuration, "percent": showPercent,
}).Parse(pageText))

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
	Notes      []string
	Start, End time.Time
	Host, Base string // where the client reached us, for the commands to copy
	Regions    []pageRegion
	Callers    []caller
	Rest       int // callers left out
	Sets       []pageSet
	Total      pageTotal
	Stats      profiler.Stats
}

// pageRegion is one row of the table of regions.
type pageRegion struct {
	*profiler.RegionStats
	KindName string
	Slices   []pageSlice

	SamplingNote string
}

// pageSlice is one of the equal parts of a region, for the strip that shows where it was touched.
type pageSlice struct {
	X       int
	Opacity float64 // from the share of the part that was touched
}

// pageTotal sums up the regions.
type pageTotal struct {
	Mapped, Touched int64
	Stall           time.Duration
	Covered         time.Duration // from the start of the profile to now
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
	// The page asks for nothing and runs nothing, whatever the names in it hold.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	// An error here is the client's: it has left.
	_, _ = w.Write(b.Bytes())
}

func (a *Agent) page(host string) *pageContent {
	c := &pageContent{Shadow: a.Shadow(), Active: a.prof != nil, Off: a.off.Load() != nil, Reason: a.Reason(), Notes: a.Notes()[len(a.offNotes()):], Host: host, Base: basePath}
	if a.prof == nil {
		return c
	}
	s := a.prof.Snapshot()
	c.fill(s)
	c.Sets = pageSets(s, a.WorkingSets())
	return c
}

// fill takes over what a snapshot shows.
func (c *pageContent) fill(s *profiler.Snapshot) {
	c.Start, c.End, c.Stats, c.Total.Covered = s.Start, s.End, s.Stats, s.End.Sub(s.Start)
	c.Notes = joinNotes(c.Notes, s.Stats.Notes)
	list := s.Largest(pageRegions)
	for i := range list {
		r := &list[i]
		row := pageRegion{RegionStats: r, KindName: strings.ReplaceAll(kindName(r.Kind), "_", " "), Slices: pageSlices(r)}
		if len(r.Sampling) > 0 {
			row.SamplingNote = s.SamplingNote(r.ID)
		}
		c.Regions = append(c.Regions, row)
		c.Total.Mapped += r.Mapped
		c.Total.Touched += r.Touched
		c.Total.Stall += r.Stall.Sum
	}
	c.Callers, c.Rest = topCallers(s, pageCallers)
}

// faintest keeps a part of which little was touched visible against the background.
const faintest = 0.25

// pageSlices leaves out the untouched parts.
func pageSlices(r *profiler.RegionStats) (out []pageSlice) {
	width := float64(r.Size) / documentSlices
	for i, touched := range touchedSlices(r) {
		if touched > 0 {
			share := min(float64(touched)/width, 1)
			out = append(out, pageSlice{X: i, Opacity: math.Round(1000*(faintest+(1-faintest)*share)) / 1000})
		}
	}
	return out
}

// Share is the part of the longest possible bar: touched of the region's size.
func (r pageRegion) Share() float64 { return ratio(float64(r.Touched), float64(r.Size)) }

// Never is the part of the region that was not touched, in bytes.
func (r pageRegion) Never() int64 { return max(r.Size-r.Touched, 0) }

// StallShare is the stall as a share of the time covered: 1 is one thread that always waits.
func (t pageTotal) StallShare() float64 { return ratio(float64(t.Stall), float64(t.Covered)) }

// OverheadShare is the processor time of the profiler's threads as a share of one core.
func (c *pageContent) OverheadShare() float64 {
	return ratio(float64(c.Stats.Overhead), float64(c.Total.Covered))
}

// CallerShare is a caller's share of all stall.
func (c *pageContent) CallerShare(x caller) float64 {
	return ratio(float64(x.Stall), float64(c.Total.Stall))
}

func ratio(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}

// plainHost is what may stand in a command that a user copies into a shell.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9.\-:\[\]]+$`)

func hostOf(r *http.Request) string {
	if plainHost.MatchString(r.Host) {
		return r.Host
	}
	return "HOST:PORT"
}
