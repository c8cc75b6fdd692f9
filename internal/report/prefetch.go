package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/internal/prefetch"
	"github.com/firsttouch/firsttouch/internal/touchorder"
)

// Prefetch is what reading ahead is expected to save at the next start, and what it did at this one.
type Prefetch struct {
	Files  int           `json:"files"`
	Ranges int           `json:"ranges"`
	Bytes  int64         `json:"bytes"`
	Saves  time.Duration `json:"expected_ns"` // the sum over threads of what they waited for the disk
	// Outcome is nil where no order was given that was read before this start.
	Outcome *prefetch.Outcome `json:"outcome,omitempty"`
}

// prefetchOf is promiseOf, or nil where nothing came from the disk.
func prefetchOf(o *touchorder.Order) *Prefetch {
	if o.Saves() == 0 {
		return nil
	}
	return promiseOf(o)
}

// promiseOf is what an order promises.
func promiseOf(o *touchorder.Order) *Prefetch {
	return &Prefetch{Files: len(o.Files), Ranges: o.Ranges(), Bytes: o.Bytes(), Saves: o.Saves()}
}

// Measured adds what an order, which was read before the start that the document is of, has saved.
func (d *Document) Measured(o *touchorder.Order, out prefetch.Outcome) {
	d.Prefetch = promiseOf(o)
	d.Prefetch.Outcome = &out
}

// Expected says in a sentence what reading an order ahead is expected to save.
func Expected(o *touchorder.Order) string {
	return expected(promiseOf(o))
}

func expected(p *Prefetch) string {
	return fmt.Sprintf("%s in %s of %s, read ahead before the next start, save up to %s of waiting for the disk (the sum over threads)",
		summary.Bytes(p.Bytes), plural(p.Ranges, "range"), plural(p.Files, "file"), summary.Duration(p.Saves))
}

func renderPrefetch(w io.Writer, source string, p *Prefetch) error {
	if p == nil {
		return nil
	}
	if p.Outcome == nil {
		_, err := fmt.Fprintf(w, "Prefetch\n  %s\n    %sfirsttouch prefetch %s -out app.touch\n\n", expected(p), Prompt, source)
		return err
	}
	return renderOutcome(w, p)
}

func renderOutcome(w io.Writer, p *Prefetch) error {
	o := p.Outcome
	t := NewTable("Prefetch: what the order expected, and what it did for this start",
		Left("what"), Right("expected"), Right("measured"))
	t.Row("first touches of its ranges that found their page there", "100%", fmt.Sprintf("%s (%s of %s)", summary.Percent(summary.Ratio(int64(o.Found), int64(o.Found+o.Waited))), summary.Count(o.Found), summary.Count(o.Found+o.Waited)))
	t.Row("waiting for the disk that was saved (the sum over threads)", summary.Duration(p.Saves), summary.Duration(o.Saved))
	t.Row("waiting for the disk that is left", "-", summary.Duration(o.Left))
	t.Row("read in vain: not touched by this start", "0%", fmt.Sprintf("%s (%s of %s)", summary.Percent(summary.Ratio(o.InVain, p.Bytes)), summary.Bytes(o.InVain), summary.Bytes(p.Bytes)))
	t.Row("first touches beside its ranges that came from the disk", "0", summary.Count(o.Beside))
	return t.Write(w)
}

// RenderPrefetched writes what reading ahead did, for a person.
func RenderPrefetched(w io.Writer, r touchorder.Result) error {
	var text strings.Builder
	fmt.Fprintf(&text, "Read ahead: %s of %s in %s; %s of it from storage, and the rest was there", summary.Bytes(r.Done), summary.Bytes(r.Wanted), summary.Duration(r.Took), summary.Bytes(r.Storage))
	if r.Paused > 0 {
		fmt.Fprintf(&text, "; it paused for %s of the time", summary.Duration(r.Paused))
	}
	text.WriteString("\n")
	if r.Stopped != "" {
		fmt.Fprintf(&text, "  stopped before the end: %s\n", plain.Line(r.Stopped))
	}
	for _, f := range r.Files {
		if f.Skipped > 0 {
			fmt.Fprintf(&text, "  %s: %s left out: %s\n", plain.Line(f.Path), summary.Bytes(f.Skipped), plain.Line(f.Why))
		} else {
			fmt.Fprintf(&text, "  %s: %s\n", plain.Line(f.Path), plain.Line(f.Why))
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}
