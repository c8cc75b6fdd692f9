package recording

import (
	"compress/flate"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/exporter/pprof"
	"github.com/firsttouch/firsttouch/profiler"
)

// New returns a recording of a snapshot of this process.
func New(s *profiler.Snapshot, reason string) *Recording {
	r := &Recording{Snapshot: s, Executables: pprof.Executables(), Origin: Origin{
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, Process: os.Getpid(),
		Writer: exporter.Version, Written: time.Now().UTC(), Reason: reason, Scope: ScopeAll,
	}}
	r.Origin.Program = r.Executables[0].File
	return r
}

// Write writes a recording, in order and without a look back, so that w may be a connection. Many
// small writes are not made: a buffer around w would not help.
func Write(w io.Writer, r *Recording) error { return write(w, r, flate.DefaultCompression) }

// WriteStored is Write for who reads at once: in the same format, without the time that compression takes on
// both sides, and twice as long.
func WriteStored(w io.Writer, r *Recording) error { return write(w, r, flate.NoCompression) }

func write(w io.Writer, r *Recording, level int) error {
	s, out := r.Snapshot, newWriter(w, level)
	originTable.write(out, []origin{{
		Origin: r.Origin, written: unixNano(r.Origin.Written), start: unixNano(s.Start), end: unixNano(s.End),
		startMono: s.StartMono, endMono: s.EndMono,
	}})
	executableTable.write(out, r.Executables)
	regionTable.write(out, s.Regions)
	writeRegionParts(out, s)
	statsTable.write(out, []profiler.Stats{s.Stats})
	noteTable.write(out, s.Stats.Notes)
	eventTable.write(out, s.Events)
	blockedTable.write(out, s.Blocked)
	writeStacks(out, s)
	groupTable.write(out, s.Groups)
	threadTable.write(out, s.Threads)
	var spans []span
	for ref, st := range s.Spans {
		spans = append(spans, span{ref, st})
	}
	spanTable.write(out, spans)
	writeWorkingSets(out, r.WorkingSets)
	figureTable.write(out, r.Memory)
	endedTable.write(out, []RequestTotals{r.Ended})
	requestTable.write(out, r.Requests)
	faultTable.write(out, s.Faults)
	endTable.write(out, []end{{out.frames}})
	if out.err != nil {
		return fmt.Errorf("write the recording: %w", out.err)
	}
	return nil
}

func writeRegionParts(out *writer, s *profiler.Snapshot) {
	var mappings []mapping
	var steps []sampling
	var buckets []bucket
	var runs []run
	for i := range s.Regions {
		r := &s.Regions[i]
		for _, m := range r.Mappings {
			mappings = append(mappings, mapping{r.ID, m})
		}
		for _, st := range r.Sampling {
			steps = append(steps, sampling{r.ID, st})
		}
		for upper, n := range r.Stall.Buckets {
			buckets = append(buckets, bucket{r.ID, false, upper, n})
		}
		for upper, n := range r.Disk.Buckets {
			buckets = append(buckets, bucket{r.ID, true, upper, n})
		}
		for g := range r.Runs {
			runs = append(runs, run{r.ID, g})
		}
	}
	mappingTable.write(out, mappings)
	samplingTable.write(out, steps)
	bucketTable.write(out, buckets)
	runTable.write(out, runs)
}

// writeStacks writes the names of the code before the stacks that are made of it.
func writeStacks(out *writer, s *profiler.Snapshot) {
	var stacks [][]uintptr
	var behind []uintptr
	for id := 1; id <= s.Stacks(); id++ {
		pcs := s.Stack(profiler.StackID(id))
		stacks = append(stacks, pcs)
		for i, pc := range pcs {
			if i == 0 {
				pc++ // see Snapshot.FramesAt
			}
			behind = append(behind, pc)
		}
	}
	slices.Sort(behind)
	var named []code
	for _, after := range slices.Compact(behind) {
		for _, f := range s.FramesAt(after) {
			named = append(named, code{after, f, exporter.ServesCaller(f)})
		}
	}
	codeTable.write(out, named)
	stackTable.write(out, stacks)
}

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func timeOf(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
