package profiler

import (
	"fmt"
	"time"
)

// SamplingNote says in a sentence how much of a region was observed, and what that stands for; empty where all
// of it was, all the time. Show it next to every result of the region.
func (s *Snapshot) SamplingNote(id RegionID) string {
	r := s.RegionOf(id)
	if len(r.Sampling) == 0 {
		return ""
	}
	now, least := r.Sampling[len(r.Sampling)-1], 1.0
	for i, step := range r.Sampling {
		over := i+1 < len(r.Sampling) && r.Sampling[i+1].Since <= s.StartMono
		if !over && step.Since <= s.EndMono && step.Sampled > 0 {
			least = min(least, step.Share())
		}
	}
	text := fmt.Sprintf("%d of its %d blocks of %d bytes are observed", now.Sampled, now.Blocks, now.BlockBytes)
	if since := now.Since - s.StartMono; since > 0 {
		text += fmt.Sprintf(" since %v after the start", since.Round(time.Millisecond))
	}
	if least < now.Share() || now.Sampled == 0 {
		text += fmt.Sprintf(", and %.2g%% were at the least", 100*least)
	}
	if p := r.Estimate.Paused; p > 0 {
		text += fmt.Sprintf("; in %v nothing was, which is in no count", p.Round(time.Millisecond))
	}
	e := r.Estimate
	return text + fmt.Sprintf("; estimated are %.0f ± %.0f first touches (%d seen), %.0f ± %.0f bytes touched (%d seen), a stall of %v ± %v",
		e.Faults, e.FaultsError, r.Faults, e.Touched, e.TouchedError, r.Touched, e.Stall.Round(time.Microsecond), e.StallError.Round(time.Microsecond))
}

// paused is for how long nothing was observed in a time.
func (r *RegionStats) paused(from, to time.Duration) (sum time.Duration) {
	for i, s := range r.Sampling {
		end := to
		if i+1 < len(r.Sampling) {
			end = min(r.Sampling[i+1].Since, to)
		}
		if s.Sampled == 0 && s.Blocks > 0 {
			sum += max(end-max(s.Since, from), 0)
		}
	}
	return sum
}
