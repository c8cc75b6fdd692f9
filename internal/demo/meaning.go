package demo

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// renderMeaning ends the output with what its numbers say.
func renderMeaning(w io.Writer, s Summary) error {
	list := meaning(s)
	if len(list) == 0 {
		return nil
	}
	text := "What it means\n"
	for _, line := range list {
		text += "  " + line + "\n"
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// meaning puts the result into sentences: who waited, for which code, and how much memory was needed. A sentence whose numbers are
// not there is left out.
func meaning(s Summary) (list []string) {
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	q := s.Profile.Requests
	if q.WithFaults > 0 && q.Duration > 0 {
		say("%s of %s requests met pages that nobody had touched yet, and waited %s of their time for them.",
			summary.Count(q.WithFaults), summary.Count(q.Count), summary.Percent(float64(q.Stall)/float64(q.Duration)))
	}
	all := int64(0) // of the callers' own regions, the wait in all
	for _, r := range s.Profile.Regions {
		all += int64(r.Stall.Sum)
	}
	if len(s.Profile.Callers) > 0 && all > 0 {
		if c := s.Profile.Callers[0]; c.Function != "" && c.Stall.Sum > 0 {
			from := ""
			if c.From != "" {
				from = ", called from " + summary.ShortFunction(c.From)
			}
			say("%s of the wait is in %s%s.", summary.Percent(float64(c.Stall.Sum)/float64(all)), summary.ShortFunction(c.Function), from)
		}
	}
	for _, r := range s.Profile.Regions {
		if r.Name == s.Index.Path && r.Mapped > 0 {
			say("%s of the %s of %s were never touched: this load does not need them in memory.",
				summary.Bytes(r.Mapped-r.Touched), summary.Bytes(r.Mapped), filepath.Base(r.Name))
		}
	}
	return list
}
