package pprof

import (
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
)

// comments say, a line each, what a reader needs in order to trust the values: window, sampling,
// drops, coverage, and what the engine reports of itself.
func comments(s *profiler.Snapshot, what string) []string {
	st := &s.Stats
	meaning, drops, stall := "a first touch since the memory was armed, not an access count",
		fmt.Sprintf("drops: %d of %d faults, because the ring was full; they are in no sample", st.Dropped, st.Faults),
		"stall is measured from when the engine saw the fault; the kernel's queue time before that is not included"
	if st.Delivery == profiler.DeliveryObserve.String() {
		meaning = "page faults observed by perf events, and nothing was armed: not all first touches are page faults, see the first note"
		drops = fmt.Sprintf("drops: at most %d faults beside %d, because the kernel's buffers were full; %d page faults of other memory", st.Dropped, st.Records, st.Elsewhere)
		stall = fmt.Sprintf("stall is the kernel's own time for the fault; of %d faults it is unknown, and in no sample", st.StallsUnknown)
	}
	out := []string{
		"firsttouch " + what + "; " + meaning,
		window(s),
		fmt.Sprintf("stacks taken: %s; %d of %d records have one, %d did not arrive, %d were cut short; the rest is under %s and nothing is scaled",
			st.StackSampling, st.Stacks, st.Records, st.StacksMissed, st.StacksCut, exporter.FrameNoStack),
		drops,
		fmt.Sprintf("log: %d faults are in the totals only, because the log was full", st.LogCut),
		fmt.Sprintf("attribution: %d of %d records have no span; %d spans found no place", st.Unattributed, st.Records, st.SpansDropped),
		stall,
		coverage(s),
	}
	if how := st.Observed(); how != "" {
		out = append(out, "observed "+how)
	}
	for i := range s.Regions {
		r := &s.Regions[i]
		out = append(out, regionComment(r))
		if n := s.SamplingNote(r.ID); n != "" {
			out = append(out, fmt.Sprintf("sampling of region %s: %s; the values of this profile are the estimates", r.Name, n))
		}
	}
	if st.Off != "" {
		out = append(out, "taken off: "+st.Off+": nothing is observed since then")
	}
	if b := st.Budget.String(); b != "" {
		out = append(out, "budget: "+b)
	}
	out = append(out, fmt.Sprintf("overhead: the engine's threads used %v of processor time; placement: %s", st.Overhead, st.Placement))
	if st.Stops > 0 {
		out = append(out, fmt.Sprintf("stopped: all other threads for %v in all, %d times, to change mappings of other code", st.Stopped, st.Stops))
	}
	if st.UserModeOnly {
		out = append(out, "user mode only: faults inside system calls are not served, such a call fails with EFAULT")
	}
	if st.ResolveErrs > 0 {
		out = append(out, fmt.Sprintf("errors: %d faults could not be resolved, last: %s", st.ResolveErrs, st.LastError))
	}
	for _, n := range st.Notes {
		out = append(out, "note: "+n)
	}
	return out
}

func window(s *profiler.Snapshot) string {
	length := s.EndMono - s.StartMono
	if s.Start.IsZero() {
		return fmt.Sprintf("window: %v", length)
	}
	return fmt.Sprintf("window: %s to %s, %v", s.Start.UTC().Format(time.RFC3339Nano), s.End.UTC().Format(time.RFC3339Nano), length)
}

func coverage(s *profiler.Snapshot) string {
	var regions int
	var mapped int64
	for _, r := range s.Regions {
		if !r.Detached {
			regions++
			mapped += r.Mapped
		}
	}
	return fmt.Sprintf("coverage: %d regions with %d bytes mapped at the end of the window; first touches of other memory are not seen", regions, mapped)
}

func regionComment(r *profiler.RegionStats) string {
	c := fmt.Sprintf("region %s: %d bytes touched of %d mapped, granule %d bytes, %d faults, %d messages, at least %d co-touches",
		r.Name, r.Touched, r.Mapped, r.Granule, r.Faults, r.Messages, r.CoTouch)
	if r.Rearms > 0 {
		c += fmt.Sprintf("; armed again %d times, so a granule may have several faults", r.Rearms)
	}
	if r.Widened > 0 {
		c += fmt.Sprintf("; %d granules were opened with a neighbour, so that their own first touch was not seen", r.Widened)
	}
	if r.Left > 0 {
		c += fmt.Sprintf("; %d pages are pinned by the kernel and not observed any more", r.Left)
	}
	if r.Discarded > 0 {
		c += fmt.Sprintf("; %d pages were discarded by their owner: writes to them are not seen until the region is armed again", r.Discarded)
	}
	if late := r.Unseen(); late > 0 {
		c += fmt.Sprintf("; found up to %v after it was mapped, touches before that are unknown", late)
	}
	if r.Detached {
		c += "; detached, no longer observed"
	}
	if r.Note != "" {
		c += "; " + r.Note
	}
	return c
}
