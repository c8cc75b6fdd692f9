package report

import (
	"fmt"
	"io"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// renderHeap shows the Go heap, if it is among the regions.
func renderHeap(w io.Writer, s summary.Summary) error {
	for i := range s.Regions {
		r := &s.Regions[i]
		if r.Heap == nil {
			continue
		}
		h := r.Heap
		about := "of unknown error"
		if h.Stderr != nil {
			about = "± " + summary.Bytes(*h.Stderr)
		}
		t := NewTable(fmt.Sprintf("Go heap: %s of %s touched (%s), from %d of %d blocks", summary.Bytes(h.Touched), summary.Bytes(h.Size), about, h.Observed, h.Blocks),
			Left("who, in those blocks"), Right("faults"), Right("bytes"), Right("waited"))
		for _, a := range h.Actors {
			t.Row(a.Name, summary.Count(a.Faults), summary.Bytes(int64(a.Bytes)), summary.Duration(a.Stall))
		}
		if err := t.Write(w); err != nil {
			return err
		}
	}
	return nil
}
