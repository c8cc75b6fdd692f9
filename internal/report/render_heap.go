package report

import (
	"fmt"
	"io"
)

// renderHeap shows the Go heap, if it is among the regions.
func renderHeap(w io.Writer, s Summary) error {
	for _, r := range s.Regions {
		if r.Heap == nil {
			continue
		}
		h := r.Heap
		about := "of unknown error"
		if h.Stderr != nil {
			about = "± " + Bytes(*h.Stderr)
		}
		t := NewTable(fmt.Sprintf("Go heap: %s of %s touched (%s), from %d of %d blocks", Bytes(h.Touched), Bytes(h.Size), about, h.Observed, h.Blocks),
			Left("who, in those blocks"), Right("faults"), Right("bytes"), Right("waited"))
		for _, a := range h.Actors {
			t.Row(a.Name, Count(a.Faults), Bytes(int64(a.Bytes)), Duration(a.Stall))
		}
		if err := t.Write(w); err != nil {
			return err
		}
	}
	return nil
}
