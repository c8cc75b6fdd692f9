package traces

import (
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

func TestCallerIsOfTheStackThatWaitedLongest(t *testing.T) {
	p := &Processor{src: &fakeSource{}}
	fault := func(stack profiler.StackID, us int) profiler.Fault {
		return profiler.Fault{Stack: stack, Stall: time.Duration(us) * time.Microsecond}
	}
	for _, c := range []struct {
		name   string
		faults []profiler.Fault
		want   []attribute.KeyValue
	}{
		{"in sum", []profiler.Fault{fault(1, 5), fault(2, 4), fault(2, 4)}, []attribute.KeyValue{
			semconv.CodeFunctionName("example.com/cache.Get"), semconv.CodeFilePath("f.go"), semconv.CodeLineNumber(20)}},
		{"of those taken", []profiler.Fault{fault(0, 500), fault(1, 0)}, []attribute.KeyValue{
			semconv.CodeFunctionName("example.com/index.Lookup"), semconv.CodeFilePath("f.go"), semconv.CodeLineNumber(10)}},
		{"none taken", []profiler.Fault{fault(0, 500)}, nil},
	} {
		got, want := attribute.NewSet(p.caller(c.faults)...), attribute.NewSet(c.want...)
		if !got.Equals(&want) {
			t.Errorf("%s: %v, want %v", c.name, got.ToSlice(), want.ToSlice())
		}
	}
}
