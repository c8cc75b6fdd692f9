//go:build linux && (amd64 || arm64)

package profiler

import (
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

// A snapshot that is built again from a profiler's log is the profiler's own.
func TestRebuiltSnapshot(t *testing.T) {
	p := newProfiler(t, WithGranule(4*pageSize))
	a := newArena(t, p, "arena", 500*pageSize)
	f, err := p.MapFile(newFile(t, 300*pageSize+10))
	if err != nil {
		t.Fatal(err)
	}
	touchAll(a.Bytes(), 4)
	if err := unix.Madvise(a.Bytes()[:100*pageSize], unix.MADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	touchAll(a.Bytes()[:50*pageSize], 4)
	for i := 0; i < len(f.Bytes()); i += 2 * pageSize {
		sink = f.Bytes()[i]
	}
	if err := f.Rearm(); err != nil {
		t.Fatal(err)
	}
	sink = f.Bytes()[5]
	s := p.Snapshot()
	checkSums(t, s)

	b := NewSnapshotBuilder()
	b.SetTime(s.Start, s.End, s.StartMono, s.EndMono)
	for _, r := range s.Regions {
		r.Messages = 0 // counted again, from the faults
		b.AddRegion(r)
	}
	for id := StackID(1); s.Stack(id) != nil; id++ {
		b.AddStack(s.Stack(id))
	}
	messages := make([]uint64, len(s.Regions))
	for _, fault := range s.Faults {
		b.AddFault(fault)
		messages[fault.Region] += uint64(fault.Messages)
	}
	b.SetStats(s.Stats)
	again := b.Snapshot()
	checkSums(t, again)
	for i := range s.Regions {
		if got := again.Regions[i].Messages; got != messages[i] || got > s.Regions[i].Messages {
			t.Errorf("%s: %d messages, want %d of %d", s.Regions[i].Name, got, messages[i], s.Regions[i].Messages)
		}
		again.Regions[i].Messages = s.Regions[i].Messages
	}
	again.Stats.Messages = s.Stats.Messages // some belong to no fault
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"regions", again.Regions, s.Regions}, {"groups", again.Groups, s.Groups}, {"threads", again.Threads, s.Threads},
		{"faults", again.Faults, s.Faults}, {"stats", again.Stats, s.Stats}, {"start", again.Start, s.Start}, {"end", again.End, s.End},
		{"frames", again.Frames(1), s.Frames(1)},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, c.got, c.want)
		}
	}
}
