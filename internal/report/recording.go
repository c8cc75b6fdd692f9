package report

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter/findings"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/internal/prefetch"
)

// Document is the report on a recording.
type Document struct {
	Source    string    `json:"source"` // the file or the address
	Program   string    `json:"program"`
	Process   int       `json:"process"`
	Go        string    `json:"go"`
	System    string    `json:"system"`
	Written   time.Time `json:"written"`
	Reason    string    `json:"reason"`
	Scope     string    `json:"scope"`
	Truncated string    `json:"truncated,omitempty"` // why only a part could be read
	Logged    uint64    `json:"faults_in_order"`     // those that are there one by one
	summary.Summary
	// Prefetch is nil where nothing came from the disk.
	Prefetch *Prefetch `json:"prefetch,omitempty"`
}

// workingSetWindows is how many windows of a region are listed.
const workingSetWindows = 12

// Of makes the report on a recording, which came from where the user said.
func Of(r *recording.Recording, source, truncated string, n summary.Limits) Document {
	o := r.Origin
	return Document{
		Source: source, Program: o.Program, Process: o.Process, Go: o.Go, System: o.System, Written: o.Written,
		Reason: o.Reason, Scope: string(o.Scope), Truncated: truncated, Logged: uint64(len(r.Snapshot.Faults)),
		Summary:  findings.Summarize(r, n),
		Prefetch: prefetchOf(prefetch.OrderOf(r.Snapshot, source).Order),
	}
}

// RenderDocument writes the report as aligned text.
func RenderDocument(w io.Writer, d Document) error {
	d = plain.Lines(d)
	return errors.Join(
		renderOrigin(w, d),
		RenderFindings(w, d.Findings, d.Source),
		renderRegions(d.Summary).Write(w),
		renderHeap(w, d.Summary),
		renderMemory(d.Summary).Write(w),
		renderStalls(d.Summary).Write(w),
		renderCallers(d.Summary).Write(w),
		renderBlocked(w, d.Summary),
		renderRequestsOrWhy(w, d),
		renderTimes(d).Write(w),
		renderWorkingSets(w, d.WorkingSets, workingSetWindows),
		renderPrefetch(w, d.Source, d.Prefetch),
		renderEngine(w, d.Summary),
	)
}

func renderOrigin(w io.Writer, d Document) error {
	lines := []string{
		fmt.Sprintf("%s, process %d, %s, %s", d.Program, d.Process, d.Go, d.System),
		fmt.Sprintf("First touches from %s, for %s; recorded %s: %s",
			d.Start.UTC().Format("2006-01-02 15:04:05 MST"), summary.Duration(d.End.Sub(d.Start)), d.Written.UTC().Format("15:04:05 MST"), d.Reason),
	}
	if missing := d.Engine.Records - min(d.Engine.Records, d.Logged); missing > 0 {
		lines = append(lines, fmt.Sprintf("%s of %s first touches are known one by one (the %s); all are in the totals",
			summary.Count(d.Logged), summary.Count(d.Engine.Records), map[bool]string{true: "latest, of the flight recorder", false: "first and the latest"}[d.Scope == string(recording.ScopeWindow)]))
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n\n")
	return err
}

func renderRequestsOrWhy(w io.Writer, d Document) error {
	if len(d.Regions) == 0 && d.Requests.Count == 0 {
		return nil
	}
	if d.Requests.Count > 0 {
		return renderRequests(d.Summary).Write(w)
	}
	_, err := io.WriteString(w, "No requests: the service passes no spans through Agent.SpanProcessor, or none ended in time.\n\n")
	return err
}

func renderTimes(d Document) *Table {
	title := "When (time since the start; waiting is the mean number of threads)"
	if d.Engine.Records > d.Logged {
		title = fmt.Sprintf("When (time since the start; waiting is the mean number of threads; of the %s first touches that are known one by one, the rest is in the totals only)", summary.Count(d.Logged))
	}
	t := NewTable(title,
		Right("from"), Right("to"), Right("faults"), Right("new memory"), Right("in all"), Right("stall"), Right("waiting"))
	for _, x := range d.Times {
		t.Row(summary.Duration(x.From), summary.Duration(x.To), summary.Count(x.Faults), summary.Bytes(x.New), summary.Bytes(x.Total), summary.Duration(x.Stall), strconv.FormatFloat(x.Waiting, 'f', 2, 64))
	}
	return t
}
