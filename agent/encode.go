package agent

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"io"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/exporter/findings"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/profiler"
)

// selection is what of a snapshot's detail goes into a document.
type selection struct {
	after     int64 // the claim number that the first fault comes after; -1 for all
	faults    int   // how many faults at most
	addresses bool  // with addresses of this process, not offsets alone
	later     bool  // the faults are made when the document is written
}

// of calls yield for the faults that are selected.
func (sel selection) of(s *profiler.Snapshot) iter.Seq[*profiler.Fault] {
	return func(yield func(*profiler.Fault) bool) {
		n := 0
		for i := range s.Faults {
			if n == sel.faults {
				return
			}
			if f := &s.Faults[i]; int64(f.Seq) > sel.after {
				if n++; !yield(f) {
					return
				}
			}
		}
	}
}

// write writes the document as JSON, with the faults that it has for later one by one: they are most of it.
func (d *Document) write(w io.Writer) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	const list = `"faults":[]` // nothing else is called so, and in a text the quotes would be escaped
	before, behind, ok := bytes.Cut(text, []byte(list))
	if d.faults == nil || !ok {
		_, err := w.Write(append(text, '\n'))
		return err
	}
	out := bufio.NewWriterSize(w, 32<<10)
	_, _ = out.Write(before) // errors stay until Flush
	_, _ = out.WriteString(list[:len(list)-1])
	first := true
	for f := range d.faults {
		text, err := json.Marshal(f)
		if err != nil {
			return err
		}
		if !first {
			_ = out.WriteByte(',')
		}
		first = false
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
	_ = out.WriteByte(']')
	_, _ = out.Write(append(behind, '\n'))
	return out.Flush()
}

// document converts what was recorded.
func document(r *recording.Recording, sel selection) *Document {
	s := r.Snapshot
	limits := summary.DefaultLimits()
	limits.Times, limits.Mappings, limits.Addresses = 0, true, sel.addresses
	d := &Document{
		Schema: DocumentSchema, Active: true, Summary: findings.Summarize(r, limits),
		Groups:  make([]DocumentGroup, 0, len(s.Groups)),
		Threads: make([]DocumentThread, 0, len(s.Threads)),
		Faults:  []DocumentFault{},
	}
	stacks := make(map[profiler.StackID]bool)
	for _, g := range s.Groups {
		stacks[g.Stack] = true
		d.Groups = append(d.Groups, DocumentGroup{
			Region: uint32(g.Region), Stack: uint32(g.Stack), Access: g.Access.String(), Source: g.Source.String(),
			Actor:  heapActor(s, g.Region, g.Actor),
			Faults: g.Faults, Bytes: g.Bytes, StallNS: int64(g.Stall), MaxNS: int64(g.Max),
		})
	}
	slices.SortStableFunc(d.Groups, func(a, b DocumentGroup) int { return cmp.Compare(b.StallNS, a.StallNS) })
	for _, t := range s.Threads {
		d.Threads = append(d.Threads, DocumentThread{t.Thread, t.Faults, int64(t.Stall)})
	}
	for f := range sel.of(s) {
		stacks[f.Stack] = true
		if !sel.later {
			d.Faults = append(d.Faults, documentFault(s, *f, sel.addresses))
		}
	}
	if sel.later {
		d.faults = func(yield func(DocumentFault) bool) {
			for f := range sel.of(s) {
				if !yield(documentFault(s, *f, sel.addresses)) {
					return
				}
			}
		}
	}
	d.Stacks = documentStacks(s, stacks)
	return d
}

func documentFault(s *profiler.Snapshot, f profiler.Fault, addresses bool) DocumentFault {
	d := DocumentFault{
		Seq: f.Seq, TimeNS: int64(f.Time - s.StartMono), Region: uint32(f.Region), OffsetBytes: f.Offset,
		StallNS: int64(f.Stall), Access: f.Access.String(), Source: f.Source.String(),
		Actor: heapActor(s, f.Region, f.Actor), Thread: f.Thread, Goroutine: f.Goroutine, Stack: uint32(f.Stack), Messages: f.Messages,
	}
	if span, ok := s.Span(f.Span); ok {
		d.TraceID, d.SpanID = hex.EncodeToString(span.TraceID[:]), hex.EncodeToString(span.SpanID[:])
	}
	if f.Wait != profiler.WaitMeasured {
		d.Wait = f.Wait.String()
	}
	if addresses {
		d.Address = summary.Address(f.Address)
	}
	return d
}

// documentStacks expands the stacks that are referred to, in the order of their ids.
func documentStacks(s *profiler.Snapshot, ids map[profiler.StackID]bool) []DocumentStack {
	delete(ids, 0)
	stacks := make([]DocumentStack, 0, len(ids))
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		st := DocumentStack{ID: uint32(id), Frames: []DocumentFrame{}}
		for _, f := range s.Frames(id) {
			st.Frames = append(st.Frames, DocumentFrame{f.Function, f.File, f.Line})
		}
		stacks = append(stacks, st)
	}
	return stacks
}

// idleDocument is what there is to say of an agent that does nothing.
func idleDocument(reason string, started time.Time) *Document {
	s := &profiler.Snapshot{Start: started, End: time.Now()}
	d := document(&recording.Recording{Snapshot: s}, selection{})
	d.Active, d.Reason = false, reason
	return d
}

// heapActor is empty for regions of which it is clear.
func heapActor(s *profiler.Snapshot, id profiler.RegionID, a profiler.Actor) string {
	if s.RegionOf(id).Kind != profiler.KindGoHeap {
		return ""
	}
	return a.String()
}
