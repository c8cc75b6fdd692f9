package demo

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/firsttouch/firsttouch/profiler"
)

// Render writes the summary for a person; out is the directory of the files as it was given, and command how this program is run.
func Render(w io.Writer, s Summary, out, command string) error {
	s, out, command = plain.Lines(s), plain.Line(out), plain.Line(command)
	return errors.Join(
		renderHead(w, s),
		report.RenderFindings(w, s.Profile.Findings, filepath.Join(out, fileRecord)),
		report.Render(w, s.Profile),
		report.RenderWorkingSets(w, s.Profile.WorkingSets, windowsListed),
		renderCost(w, s),
		renderPrefetched(w, s.Prefetch),
		renderNotes(w, s),
		renderNext(w, s, out, command),
	)
}

func renderHead(w io.Writer, s Summary) error {
	built := "from the cache"
	if s.Index.Built {
		built = "built in " + summary.Duration(s.Index.Took)
	}
	m := s.Index.Meta
	_, err := fmt.Fprintf(w, "A search service over bbolt: %s occurrences of %s identifiers in %s files, %s, %s\n"+
		"%s\nLoad: %s requests of seed %d by %d clients, cold (database on the disk), then the same again, warm\n\n",
		summary.Count(m.Occurrences), summary.Count(m.Names), summary.Count(m.Files), summary.Bytes(s.Index.Bytes), built,
		s.Index.Path, summary.Count(s.Load.Requests), s.Load.Seed, s.Load.Concurrency)
	how := ""
	switch e := &s.Profile.Engine; {
	case e.Delivery == profiler.DeliveryObserve.String():
		how = observing
	case e.Delivery == profiler.DeliverySignal.String():
		how = fmt.Sprintf(consent, "by signal")
	case e.UserModeOnly:
		how = fmt.Sprintf(consent, "user mode only")
	}
	if err == nil {
		_, err = io.WriteString(w, how)
	}
	return err
}

// consent says what the demo allows where system calls are not served, and why it may.
const consent = "Allowed for this service: system calls that are handed profiled memory before its first touch fail here (%s;\n" +
	"firsttouch doctor has the ways to full service). This one copies what it answers, so none of its own does. For\n" +
	"another service that is WithFailingSystemCalls or FIRSTTOUCH_ALLOW_FAILING_SYSTEM_CALLS=true, and off by default.\n\n"

// observing says that the demo has less to show.
const observing = "Nothing can be armed here: page faults that the kernel counts are observed alone (firsttouch doctor has the ways to\n" +
	"full service). Pages that the kernel maps together with one that faulted are not seen.\n\n"

// renderCost puts the two runs side by side.
func renderCost(w io.Writer, s Summary) error {
	t := report.NewTable("The service itself, without and with the profiler (two processes, one after the other, the same requests)",
		report.Left("phase"), report.Left("profiler"), report.Right("requests/s"), report.Right("p50"), report.Right("p99"), report.Spare{Column: report.Right("max")},
		report.Right("first touches"), report.Right("stall"), report.Spare{Column: report.Right("resident")}, report.Spare{Column: report.Right("of it anonymous")})
	for i := range s.Without.Phases {
		for _, run := range []struct {
			name  string
			phase Phase
		}{{"without", s.Without.Phases[i]}, {"with", s.With.Phases[i]}} {
			p := run.phase
			faults, stall := "-", "-"
			if run.name == "with" {
				faults, stall = summary.Count(p.Service.Faults), summary.Duration(p.Service.Stall)
			}
			t.Row(p.Name, run.name, rate(p.Load.Requests, p.Load.Elapsed),
				summary.Duration(p.Service.Latency.P50), summary.Duration(p.Service.Latency.P99), summary.Duration(p.Service.Latency.Max),
				faults, stall, summary.Bytes(p.Service.Memory.Resident), summary.Bytes(p.Service.Memory.Anonymous))
		}
	}
	if err := t.Write(w); err != nil {
		return err
	}
	answers := "All answers are the same, byte for byte."
	if !s.SameAnswers {
		answers = "The answers differ: see the notes."
	}
	stacks := ""
	if s.Profile.Engine.Delivery != profiler.DeliveryObserve.String() { // else the kernel takes stacks, or none, for an agent too
		stacks = "  Every first touch had its stack taken, where a service's agent takes at most 1,000 a second.\n"
	}
	_, err := fmt.Fprintf(w, "  %s\n  %s\n%s\n", answers, coldText(s), stacks)
	return err
}

func rate(n int, d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	return summary.Count(int64(math.Round(float64(n) / d.Seconds())))
}

func coldText(s Summary) string {
	for _, r := range []Run{s.Without, s.With} {
		if r.PageCache.Refusal != "" {
			return "The cold phase was not cold: see the notes."
		}
	}
	return fmt.Sprintf("Cold is cold: before each run mincore found %s of the database's %s in the page cache.",
		summary.Bytes(max(s.Without.PageCache.After, s.With.PageCache.After)), summary.Bytes(s.With.PageCache.Bytes))
}

func renderNotes(w io.Writer, s Summary) error {
	if len(s.Notes) == 0 {
		return nil
	}
	text := "Notes\n"
	for _, n := range s.Notes {
		text += "  " + n + "\n"
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// renderNext lists commands to go on with, each on a line of its own that can be copied.
func renderNext(w io.Writer, s Summary, out, command string) error {
	text := "Next\n"
	add := func(what, do string) { text += "  " + what + "\n    " + do + "\n" }
	run := func(what, do string) { add(what, report.Prompt+do) }
	profile, address := filepath.Join(out, fileProfile), filepath.Join(out, fileAddress)
	run("which code waited", "go tool pprof -top -sample_index=stall "+profile)
	run("the same as a flame graph", "go tool pprof -http=: -sample_index=stall "+profile)
	run("which parts of the file were touched", "go tool pprof -http=: -sample_index=touched "+address)
	run("the file, the code and the requests in the browser", command+" serve "+filepath.Join(out, fileRecord))
	run("all of this again, and when", command+" report "+filepath.Join(out, fileRecord))
	run("the profiler's own page, live", command+" demo -serve")
	if len(s.Profile.WorkingSets) == 0 {
		run("what is in use now, and what is idle", command+" demo -windows")
	}
	if s.Prefetch == nil {
		run("what reading ahead does for a cold start", command+" demo -prefetch")
	} else {
		run("read ahead what the service touches first", command+" prefetch "+filepath.Join(out, fileOrder))
	}
	run("the requests in your own Jaeger or collector", "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 "+command+" demo")
	add("the requests in Jaeger, without a collector", "upload "+filepath.Join(out, fileTraces)+" on its search page")
	add("all of this for a program", filepath.Join(out, fileSummary))
	if s.Export.Endpoint != "" && s.Export.Failures == 0 {
		add("the requests in your collector", s.Export.Endpoint+", service firsttouch-demo")
	}
	_, err := fmt.Fprintln(w, text)
	return err
}
