package traces

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// burstsOf runs one request with these faults and returns its bursts. The faults' times count from
// the start of the request.
func burstsOf(t *testing.T, faults []profiler.Fault, unseen uint64, opts ...Option) (bursts []sdktrace.ReadOnlySpan, request sdktrace.ReadOnlySpan) {
	t.Helper()
	s := total(faults...)
	s.stats.Faults += unseen
	r := newRig(t, func(int) *fakeSpan {
		began := profiler.Monotonic()
		for i := range s.faults {
			s.faults[i].Time += began
			s.faults[i].Seq = uint64(i)
		}
		return s
	}, nil, opts...)
	_, span := r.tp.Tracer("service").Start(context.Background(), "request")
	// As if it had taken a minute.
	span.End(trace.WithTimestamp(span.(sdktrace.ReadOnlySpan).StartTime().Add(time.Minute)))
	if err := r.tp.ForceFlush(context.Background()); err != nil {
		t.Fatal(err)
	}
	return r.named(exporter.SpanBurst), r.named("request")[0]
}

func TestAttributesOfABurst(t *testing.T) {
	faults := at(0, 20, 25*time.Microsecond, 20*time.Microsecond, 4096)
	for i := range faults {
		faults[i].Offset += 1<<20 + 5
		faults[i].Stack = 1
		faults[i].Goroutine = 42
		faults[i].Source = profiler.SourceDisk
	}
	faults[3].Stall = 21 * time.Microsecond
	got, _ := burstsOf(t, faults, 0)
	if len(got) != 1 {
		t.Fatalf("%d bursts", len(got))
	}
	want := attribute.NewSet(
		attribute.Int("firsttouch.faults", 20),
		attribute.Float64("firsttouch.stall", (401*time.Microsecond).Seconds()),
		attribute.Float64("firsttouch.stall.max", (21*time.Microsecond).Seconds()),
		attribute.Int("firsttouch.touched", 20*4096),
		attribute.String("firsttouch.region", "index.db"),
		attribute.Int("firsttouch.offset.lowest", 1<<20+5),
		attribute.Int("firsttouch.offset.highest", 1<<20+5+19*4096),
		attribute.String("firsttouch.pattern", "sequential"),
		attribute.String("firsttouch.access", "read"),
		attribute.String("firsttouch.source", "disk"),
		attribute.Int("firsttouch.goroutine", 42),
		attribute.String("code.function.name", "example.com/index.Lookup"),
		attribute.String("code.file.path", "f.go"),
		attribute.Int("code.line.number", 10),
	)
	if s := set(got[0]); !s.Equals(&want) {
		t.Errorf("%v\nwant %v", s.ToSlice(), want.ToSlice())
	}
}

// Merged runs say so, and leave out what they have not in common.
func TestAttributesOfMergedRuns(t *testing.T) {
	a := at(0, 10, 2*time.Microsecond, time.Microsecond, 4096)
	b := at(10*time.Millisecond, 10, 2*time.Microsecond, time.Microsecond, 65536)
	for i := range b {
		b[i].Region, b[i].Goroutine, b[i].Access, b[i].Source = 1, 7, profiler.Write, profiler.SourceZero
	}
	b[9].Offset = b[8].Offset + 1 // the same granule again
	got, _ := burstsOf(t, append(a, b...), 3)
	if len(got) != 1 {
		t.Fatalf("%d bursts", len(got))
	}
	want := attribute.NewSet(
		attribute.Int("firsttouch.faults", 23),
		attribute.Int("firsttouch.faults.unseen", 3),
		attribute.Int("firsttouch.bursts.merged", 2),
		attribute.Float64("firsttouch.stall", (20*time.Microsecond).Seconds()),
		attribute.Float64("firsttouch.stall.max", time.Microsecond.Seconds()),
		attribute.Int("firsttouch.touched", 10*4096+9*65536),
		attribute.String("firsttouch.access", "mixed"),
		attribute.String("firsttouch.source", "mixed"),
	)
	if s := set(got[0]); !s.Equals(&want) {
		t.Errorf("%v\nwant %v", s.ToSlice(), want.ToSlice())
	}
}

func TestBurstsWhenNoFaultHasARecord(t *testing.T) {
	got, request := burstsOf(t, nil, 50)
	if len(got) != 1 {
		t.Fatalf("%d bursts", len(got))
	}
	if s := set(got[0]); s.Len() != 3 {
		t.Errorf("%v", s.ToSlice())
	}
	if v, _ := attr(got[0], exporter.AttrUnseen); v.AsInt64() != 50 || faults(got[0]) != 50 {
		t.Errorf("%d faults, %d of them unseen, want 50", faults(got[0]), v.AsInt64())
	}
	if !got[0].StartTime().Equal(request.StartTime()) || !got[0].EndTime().Equal(request.EndTime()) {
		t.Error("faults at unknown times do not have all of the span")
	}
}

func TestTimesOfBursts(t *testing.T) {
	run := func(start time.Duration) []profiler.Fault {
		return at(start, 20, 25*time.Microsecond, 20*time.Microsecond, 4096)
	}
	got, request := burstsOf(t, slices.Concat(run(time.Second), run(2*time.Second), run(time.Hour)), 0)
	if len(got) != 3 {
		t.Fatalf("%d bursts", len(got))
	}
	if d := got[1].StartTime().Sub(got[0].StartTime()); d != time.Second {
		t.Errorf("%v from the first to the second burst, want 1s", d)
	}
	for i, b := range got[:2] {
		if d := b.EndTime().Sub(b.StartTime()); d != 495*time.Microsecond {
			t.Errorf("burst %d lasts %v, want 495us", i, d)
		}
	}
	// It was recorded as if it were after the span, and lies at its end.
	if b := got[2]; !b.StartTime().Equal(request.EndTime()) || !b.EndTime().Equal(request.EndTime()) {
		t.Errorf("burst %v to %v of a span that ended at %v", b.StartTime(), b.EndTime(), request.EndTime())
	}
}

func TestFaultEventsAreTheSlowest(t *testing.T) {
	fs := at(0, 30, 100*time.Microsecond, time.Microsecond, 4096)
	for i := range fs {
		fs[i].Stall = time.Duration(1+i*7%30) * time.Microsecond // 1 to 30, shuffled
		fs[i].Stack = 2
	}
	for _, c := range []struct {
		threshold time.Duration
		want      []float64 // stalls in microseconds, in the order of time
	}{
		{0, nil},
		{time.Microsecond, []float64{29, 28, 27, 26, 25, 24, 23, 30}},
		{28 * time.Microsecond, []float64{29, 28, 30}},
	} {
		bursts, request := burstsOf(t, slices.Clone(fs), 0, WithFaultEvents(c.threshold))
		var got []float64
		var last time.Time
		for _, b := range bursts {
			for _, e := range b.Events() {
				as := attribute.NewSet(e.Attributes...)
				stall, _ := as.Value(exporter.AttrStall)
				got = append(got, float64(int(stall.AsFloat64()*1e6+0.5)))
				if e.Time.Before(last) || e.Time.Before(b.StartTime()) || e.Time.After(b.EndTime()) {
					t.Errorf("event at %v, after one at %v, of a burst %v to %v", e.Time, last, b.StartTime(), b.EndTime())
				}
				last = e.Time
				if f, _ := as.Value(exporter.AttrFunction); f.AsString() != "example.com/cache.Get" {
					t.Errorf("caller %q", f.AsString())
				}
			}
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("threshold %v: events of %v us, want %v", c.threshold, got, c.want)
		}
		if n := len(request.Events()); n != 0 {
			t.Errorf("%d events on the request's span", n)
		}
	}
}
