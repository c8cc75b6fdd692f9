package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/profiler"
)

// renderEngine says how far the figures can be trusted and what they cost.
func renderEngine(w io.Writer, s summary.Summary) error {
	e, took := s.Engine, s.End.Sub(s.Start)
	if len(s.Regions) == 0 && e.Faults == 0 {
		return renderNothing(w, e.Notes)
	}
	lines := []string{"Trust and cost"}
	add := func(format string, args ...any) { lines = append(lines, "  "+fmt.Sprintf(format, args...)) }

	observed := e.Delivery == profiler.DeliveryObserve.String()
	if observed {
		add("records        %s page faults that the kernel counted; at most %s missing, since its buffers were full; %s more of other memory", summary.Count(e.Records), summary.Count(e.Dropped), summary.Count(e.Elsewhere))
	} else {
		from := "" // by signal the kernel sends no messages
		if e.Delivery != profiler.DeliverySignal.String() {
			from = fmt.Sprintf("; from %s messages of the kernel, which repeats itself when a wait is interrupted", summary.Count(e.Messages))
		}
		add("records        %s of %s faults, %s dropped%s", summary.Count(e.Records), summary.Count(e.Faults), summary.Count(e.Dropped), from)
	}
	add("stacks         %s (%s); %s missed, %s cut", summary.Count(e.Stacks), e.StackSampling, summary.Count(e.StacksMissed), summary.Count(e.StacksCut))
	if e.StallsUnknown+e.Waiting > 0 {
		add("stalls         of %s faults unknown; %s threads wait for storage longer than 250 ms, and are not in the figures yet", summary.Count(e.StallsUnknown), summary.Count(e.Waiting))
	}
	if e.LogCut > 0 {
		add("not one by one %s records are in the totals only: they are in no heatmap and no list (agent.WithLogLimit)", summary.Count(e.LogCut))
	}
	why := ""
	if s.Requests.Why != "" {
		why = ": " + s.Requests.Why
	}
	add("attributed     %s of the records to a span%s", summary.Percent(summary.Ratio(int64(e.Records-min(e.Records, s.Requests.Unattributed)), int64(e.Records))), why)
	add("overhead       %s of processor time in %s: %s of one core%s", summary.Duration(e.Overhead), summary.Duration(took),
		summary.Percent(summary.Ratio(int64(e.Overhead), int64(took))), perFault(e))
	if e.Stops > 0 {
		add("stopped        all other threads for %s in all, %s times, to change mappings of other code", summary.Duration(e.Stopped), summary.Count(e.Stops))
	}
	if e.Off != "" {
		add("taken off      %s: nothing is observed since then", e.Off)
	}
	if e.Budget != "" {
		add("budget         %s", e.Budget)
	}
	if e.Observed != "" {
		add("observed       %s", e.Observed)
	}
	if e.Delivery == profiler.DeliveryThread.String() && e.Placement != "" {
		add("resolver       %s", e.Placement)
	}
	if e.ResolveErrors > 0 {
		add("errors         %s faults could not be resolved as planned; their memory is no longer observed", summary.Count(e.ResolveErrors))
	}
	if e.UserModeOnly {
		add("user mode only: a system call that is handed a page before its first touch fails with EFAULT")
	}
	for i := range s.Regions[:min(len(s.Regions), rowsMost)] {
		r := &s.Regions[i]
		if r.Widened > 0 {
			add("widened        %s granules of %s were made accessible with a neighbour", summary.Count(r.Widened), regionName(r))
		}
		if r.Left > 0 {
			add("left           %s pages of %s are pinned by the kernel, and are not observed any more", summary.Count(r.Left), regionName(r))
		}
		if r.Discarded > 0 {
			add("discarded      %s pages of %s by their owner; writes to them are not seen until the region is armed again", summary.Count(r.Discarded), regionName(r))
		}
		if r.Sampling != "" {
			add("sampled        %s: %s", regionName(r), r.Sampling)
		}
		if r.Unseen > 0 && r.Faults > 0 {
			add("unseen         %s of %s at most, after it was mapped: what was touched before is unknown", summary.Duration(r.Unseen), regionName(r))
		}
		if r.Note != "" {
			add("note           %s: %s", regionName(r), r.Note)
		}
	}
	for _, n := range e.Notes[:min(len(e.Notes), rowsMost)] {
		add("note           %s", n)
	}
	if n := len(e.Notes) - rowsMost; n > 0 {
		add("note           and %s more notes", summary.Count(n))
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n\n")
	return err
}

// NothingObserved is what to do where there is no region to show.
const NothingObserved = "Nothing was observed: no region of memory was named, or none was found.\n" +
	"  To observe a file that the service maps, start it with FIRSTTOUCH_FILES=/path/of/the/file (a pattern such as /data/*.db will do).\n" +
	"  /debug/firsttouch/mappings?text=true of a live agent lists all mappings, with what can be observed of each.\n"

// renderNothing says why there is nothing to see, as far as the profiler knows.
func renderNothing(w io.Writer, notes []string) error {
	text := NothingObserved
	for _, n := range notes {
		text += "  note: " + n + "\n"
	}
	_, err := io.WriteString(w, text+"\n")
	return err
}

func perFault(e summary.Engine) string {
	if e.Faults == 0 {
		return ""
	}
	return fmt.Sprintf(", %s a fault", summary.Duration(e.Overhead/time.Duration(e.Faults)))
}
