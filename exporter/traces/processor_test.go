package traces

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// A span without faults of its own is told what those of others cost it.
func TestBlockedSpanWithoutFaults(t *testing.T) {
	r := newRig(t, func(int) *fakeSpan { return &fakeSpan{stats: profiler.SpanStats{Blocked: 20 * time.Millisecond}} }, nil)
	r.request("request", attribute.String("mine", "kept"))
	want := attribute.NewSet(attribute.String("mine", "kept"), attribute.Float64("firsttouch.blocked", 0.02))
	if got := set(r.named("request")[0]); !got.Equals(&want) {
		t.Errorf("%v\nwant %v", got.ToSlice(), want.ToSlice())
	}
}

func TestAttributesOfASpan(t *testing.T) {
	stats := profiler.SpanStats{Faults: 3, Stall: 10 * time.Millisecond, Max: 7 * time.Millisecond, Bytes: 12288, Regions: []profiler.RegionID{1, 0}}
	r := newRig(t, func(int) *fakeSpan { return &fakeSpan{stats: stats} }, nil)
	r.request("request", attribute.String("mine", "kept"))
	want := attribute.NewSet(
		attribute.String("mine", "kept"),
		attribute.Int("firsttouch.faults", 3),
		attribute.Float64("firsttouch.stall", 0.01),
		attribute.Float64("firsttouch.stall.max", 0.007),
		attribute.Int("firsttouch.touched", 12288),
		attribute.StringSlice("firsttouch.regions", []string{"cache", "index.db"}),
		attribute.Bool("firsttouch.slow", true),
	)
	if got := set(r.named("request")[0]); !got.Equals(&want) {
		t.Errorf("%v\nwant %v", got.ToSlice(), want.ToSlice())
	}
	if r.src.spans[0].unexported.Load() {
		t.Error("a sampled span is said not to be kept")
	}
}

func TestSlowIsFromTheThreshold(t *testing.T) {
	for _, c := range []struct {
		threshold, stall time.Duration
		want             bool
	}{
		{time.Millisecond, time.Millisecond, true},
		{time.Millisecond, time.Millisecond - 1, false},
		{0, defaultSlow, true},
		{-1, defaultSlow - 1, false},
	} {
		r := newRig(t, func(int) *fakeSpan {
			return &fakeSpan{stats: profiler.SpanStats{Faults: 1, Stall: c.stall, Max: c.stall}}
		}, nil, WithSlow(c.threshold))
		r.request("request")
		s := set(r.named("request")[0])
		if v, ok := s.Value(exporter.AttrSlow); !ok || v.AsBool() != c.want {
			t.Errorf("a stall of %v with the threshold %v: slow is %v", c.stall, c.threshold, v.AsBool())
		}
	}
}

func TestASpanWithoutFaultsIsLeftAlone(t *testing.T) {
	r := newRig(t, func(int) *fakeSpan { return total() }, nil)
	r.request("request", attribute.String("mine", "kept"))
	s := r.named("request")[0]
	if _, ok := s.(*decorated); ok || len(s.Attributes()) != 1 {
		t.Errorf("%T with %v", s, s.Attributes())
	}
	if f := r.src.spans[0]; f.ends.Load() != 1 || f.released.Load() != 1 {
		t.Errorf("ended %d times, released %d times", f.ends.Load(), f.released.Load())
	}
}

// Two processors that decorate must not write into one another's attributes.
func TestDecorationCopies(t *testing.T) {
	one := func(int) *fakeSpan { return total(slowFaults(1)...) }
	a := newRig(t, one, nil)
	b := newRig(t, one, nil, WithSlow(time.Nanosecond))
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.Processor), sdktrace.WithSpanProcessor(b.Processor))
	_, s := tp.Tracer("service").Start(context.Background(), "request")
	s.SetAttributes(attribute.Int("a", 1), attribute.Int("b", 2), attribute.Int("c", 3))
	s.End()
	x, y := set(a.named("request")[0]), set(b.named("request")[0])
	slowA, _ := x.Value(exporter.AttrSlow)
	slowB, _ := y.Value(exporter.AttrSlow)
	if slowA.AsBool() || !slowB.AsBool() {
		t.Errorf("slow is %v and %v, want false and true", slowA.AsBool(), slowB.AsBool())
	}
}

// The bursts pass the processor that makes them, and it takes them for none of the service's spans.
func TestBurstsDoNotReenter(t *testing.T) {
	r := newRig(t, func(int) *fakeSpan { return total(slowFaults(20)...) }, nil)
	r.request("request")
	if err := r.tp.ForceFlush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.named(exporter.SpanBurst)); n != 1 {
		t.Fatalf("%d bursts, want 1", n)
	}
	if n := len(r.src.spans); n != 1 {
		t.Errorf("%d spans were bound, want the request alone", n)
	}
}

func TestBurstsTakeTheWayOfTheirSpan(t *testing.T) {
	some := func(int) *fakeSpan { return total(slowFaults(20)...) }
	elsewhere := tracetest.NewSpanRecorder()
	other := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(elsewhere))
	for _, c := range []struct {
		name      string
		opts      []Option
		set       trace.TracerProvider
		elsewhere int
	}{
		{"by default", nil, nil, 0},
		{"given nil", []Option{WithTracerProvider(nil)}, nil, 0},
		{"given as an option", []Option{WithTracerProvider(other)}, nil, 1},
		{"set later", nil, other, 1},
	} {
		elsewhere.Reset()
		r := newRig(t, some, nil, c.opts...)
		if c.set != nil {
			r.SetTracerProvider(c.set)
		}
		r.request("request")
		if err := r.tp.ForceFlush(context.Background()); err != nil {
			t.Fatal(err)
		}
		if own, there := len(r.named(exporter.SpanBurst)), len(elsewhere.Ended()); there != c.elsewhere || own != 1-c.elsewhere {
			t.Errorf("%s: %d bursts with the span, %d elsewhere", c.name, own, there)
		}
	}
}

func TestScope(t *testing.T) {
	r := newRig(t, func(int) *fakeSpan { return total(slowFaults(20)...) }, nil)
	r.request("request")
	if err := r.tp.ForceFlush(context.Background()); err != nil {
		t.Fatal(err)
	}
	request, burst := r.named("request")[0], r.named(exporter.SpanBurst)[0]
	if s := burst.InstrumentationScope(); s.Name != ScopeName || s.Version != exporter.Version {
		t.Errorf("scope %s %s", s.Name, s.Version)
	}
	if !burst.Parent().Equal(request.SpanContext()) || burst.SpanKind() != trace.SpanKindInternal {
		t.Errorf("kind %v, parent %v, want %v", burst.SpanKind(), burst.Parent(), request.SpanContext())
	}
}

func TestSpansThatAreNotSampledHaveNoBursts(t *testing.T) {
	r := newRig(t, func(int) *fakeSpan { return total(slowFaults(20)...) }, nil)
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.Processor), sdktrace.WithSampler(Sampler(sdktrace.NeverSample())))
	_, s := tp.Tracer("service").Start(context.Background(), "request")
	s.End()
	if err := tp.ForceFlush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.src.spans); n != 1 {
		t.Fatalf("%d spans are known, want 1", n)
	}
	if !r.src.spans[0].unexported.Load() {
		t.Error("the profiler was not told that the trace is not kept")
	}
	if n := len(r.named(exporter.SpanBurst)); n != 0 || r.src.spans[0].released.Load() != 1 || r.Dropped() != 0 {
		t.Errorf("%d bursts, released %d times, %d dropped", n, r.src.spans[0].released.Load(), r.Dropped())
	}
}

func TestSampler(t *testing.T) {
	p := sdktrace.SamplingParameters{ParentContext: context.Background(), TraceID: trace.TraceID{1}, Name: "x"}
	for _, c := range []struct {
		of   sdktrace.Sampler
		want sdktrace.SamplingDecision
	}{
		{sdktrace.NeverSample(), sdktrace.RecordOnly},
		{sdktrace.AlwaysSample(), sdktrace.RecordAndSample},
		{sdktrace.ParentBased(sdktrace.NeverSample()), sdktrace.RecordOnly},
	} {
		if got := Sampler(c.of).ShouldSample(p).Decision; got != c.want {
			t.Errorf("%s decides %v, want %v", Sampler(c.of).Description(), got, c.want)
		}
	}
}

// wants are the attributes that the catalogue names for a carrier, by their type.
func wants(on exporter.Carrier) map[attribute.Key]string {
	m := make(map[attribute.Key]string)
	for _, e := range exporter.Catalogue() {
		if e.Kind == exporter.KindAttribute && slices.Contains(e.On, on) {
			m[attribute.Key(e.Name)] = e.Type
		}
	}
	return m
}

var typeNames = map[attribute.Type]string{
	attribute.BOOL: "bool", attribute.INT64: "int", attribute.FLOAT64: "double", attribute.STRING: "string", attribute.STRINGSLICE: "string[]",
}

// Whatever is emitted is in the catalogue with its type, and whatever the catalogue names is emitted.
func TestWhatIsEmittedIsTheCatalogue(t *testing.T) {
	// A strided run, and behind a pause a small one that is merged, with one fault that has no record.
	faults := append(at(profiler.Monotonic(), 20, 25*time.Microsecond, 20*time.Microsecond, 8192), at(profiler.Monotonic()+time.Second, 2, time.Microsecond, time.Microsecond, 1)...)
	for i := range faults {
		faults[i].Seq, faults[i].Stack = uint64(i), 1
	}
	r := newRig(t, func(int) *fakeSpan {
		s := total(faults...)
		s.stats.Faults++
		s.stats.Blocked = time.Millisecond
		return s
	}, nil, WithFaultEvents(time.Microsecond))
	r.request("request")
	if err := r.tp.ForceFlush(context.Background()); err != nil {
		t.Fatal(err)
	}
	emitted := map[exporter.Carrier][]attribute.KeyValue{exporter.OnSpan: r.named("request")[0].Attributes()}
	for _, b := range r.named(exporter.SpanBurst) {
		emitted[exporter.OnBurst] = append(emitted[exporter.OnBurst], b.Attributes()...)
		for _, e := range b.Events() {
			if e.Name != exporter.EventSlowFault {
				t.Errorf("event %s", e.Name)
			}
			emitted[exporter.OnEvent] = append(emitted[exporter.OnEvent], e.Attributes...)
		}
	}
	for _, on := range []exporter.Carrier{exporter.OnSpan, exporter.OnBurst, exporter.OnEvent} {
		want := wants(on)
		seen := make(map[attribute.Key]bool)
		for _, a := range emitted[on] {
			seen[a.Key] = true
			if want[a.Key] != typeNames[a.Value.Type()] {
				t.Errorf("%s: %s is a %s, in the catalogue %q", on, a.Key, typeNames[a.Value.Type()], want[a.Key])
			}
		}
		for key := range want {
			if !seen[key] {
				t.Errorf("%s: %s is in the catalogue and was not emitted", on, key)
			}
		}
	}
}

// A span that nobody takes is refused when the processor is made, not by a crash at the first span.
func TestNewProcessorWithoutNext(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "next is nil") {
			t.Errorf("recovered %v", r)
		}
	}()
	NewProcessor(nil, nil)
}
