package recording

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"testing"
	"testing/iotest"

	"github.com/firsttouch/firsttouch/profiler"
)

func TestRoundTrip(t *testing.T) {
	full := sample(20000)
	cut := *full.Snapshot
	cut.Faults = cut.Faults[15000:]
	cut.Stats.LogCut += 15000
	for name, r := range map[string]*Recording{
		"many faults": full,
		"a cut log":   {Origin: Origin{Scope: ScopeWindow, Reason: "x"}, Snapshot: &cut},
		"nothing":     New(profiler.NewSnapshotBuilder().Snapshot(), ""),
	} {
		t.Run(name, func(t *testing.T) {
			b := encoded(t, r)
			got, err := Read(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, got, r)
			// As it comes over a slow connection, and from behind something else.
			if got, err = Read(io.MultiReader(iotest.HalfReader(bytes.NewReader(b)), bytes.NewReader([]byte("more")))); err != nil {
				t.Fatal(err)
			}
			equal(t, got, r)
			if !bytes.Equal(encoded(t, got), b) {
				t.Error("what was read is not written as it was")
			}
			t.Logf("%d faults take %d bytes", len(r.Snapshot.Faults), len(b))
		})
	}
}

// Every exported field of a snapshot's parts that is a plain value takes part in the round trip, also those
// that are added after this test was written.
func TestRoundTripOfEveryField(t *testing.T) {
	b := profiler.NewSnapshotBuilder()
	b.AddRegion(profiler.RegionStats{Granule: 4096})
	s := *b.Snapshot()
	fill(reflect.ValueOf(&s.Stats).Elem())
	fill(reflect.ValueOf(&s.Stats.Blocked).Elem())
	blocked := profiler.BlockedSpan{}
	fill(reflect.ValueOf(&blocked).Elem())
	s.Blocked = []profiler.BlockedSpan{blocked}
	r := &s.Regions[0]
	mapping, group, fault, thread := profiler.MappingStats{}, profiler.Group{}, profiler.Fault{}, profiler.ThreadStats{}
	fill(reflect.ValueOf(r).Elem())
	fill(reflect.ValueOf(&mapping).Elem())
	fill(reflect.ValueOf(&group).Elem())
	fill(reflect.ValueOf(&fault).Elem())
	fill(reflect.ValueOf(&thread).Elem())
	r.ID, group.Region, fault.Region = 0, 0, 0
	r.Mappings = []profiler.MappingStats{mapping}
	var step profiler.SamplingStep
	fill(reflect.ValueOf(&step).Elem())
	r.Sampling = []profiler.SamplingStep{step}
	s.Groups, s.Faults, s.Threads = []profiler.Group{group}, []profiler.Fault{fault}, []profiler.ThreadStats{thread}
	event := profiler.Event{}
	fill(reflect.ValueOf(&event).Elem())
	s.Events = []profiler.Event{event}
	want := New(&s, "")
	fill(reflect.ValueOf(&want.Origin).Elem())
	q := Request{}
	fill(reflect.ValueOf(&q).Elem())
	fill(reflect.ValueOf(&q.Totals).Elem())
	fill(reflect.ValueOf(&q.Tree).Elem())
	want.Requests = []Request{q}
	window, point := profiler.RegionWindow{}, profiler.CurvePoint{}
	fill(reflect.ValueOf(&window).Elem())
	fill(reflect.ValueOf(&point).Elem())
	window.Region = 0
	failed := profiler.RegionWindow{Start: 5, End: 6, Err: errors.New("busy")}
	want.WorkingSets = []profiler.WorkingSet{{Windows: []profiler.RegionWindow{window, failed}, Curve: []profiler.CurvePoint{point},
		Misses: []profiler.MissPoint{{Bytes: 4096, Miss: 0.25, Error: 0.001}}, Sample: 0.5}}
	got, err := Read(bytes.NewReader(encoded(t, want)))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, want)
}

// fill sets the plain fields of a struct to values that differ.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		switch {
		case !f.CanSet():
		case f.CanInt():
			f.SetInt(int64(20 + i))
		case f.CanUint():
			f.SetUint(uint64(20 + i))
		case f.CanFloat():
			f.SetFloat(float64(20+i) / 3)
		case f.Kind() == reflect.Struct && f.Type().PkgPath() == "github.com/firsttouch/firsttouch/profiler" && f.Type().Name() != "Histogram":
			fill(f)
		case f.Kind() == reflect.String:
			f.SetString(v.Type().Field(i).Name)
		case f.Kind() == reflect.Bool:
			f.SetBool(true)
		case f.Kind() == reflect.Array && f.Type().Elem().Kind() == reflect.Struct:
			for k := range f.Len() {
				fill(f.Index(k))
			}
		case f.Kind() == reflect.Array:
			f.Index(0).SetUint(uint64(20 + i))
		}
	}
}

func TestWriteReportsAFailedWrite(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full:", err)
	}
	defer full.Close()
	if err := Write(full, sample(10)); err == nil || !errors.Is(err, errors.Unwrap(err)) {
		t.Errorf("a full device took the recording: %v", err)
	}
}
