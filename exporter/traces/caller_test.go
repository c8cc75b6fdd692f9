package traces

import (
	"runtime"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

func TestInRuntime(t *testing.T) {
	for function, want := range map[string]bool{
		"runtime.memmove":                                 true,
		"runtime.mapaccess1_faststr":                      true,
		"internal/runtime/maps.(*Iter).Next":              true,
		"internal/runtime/syscall.Syscall6":               true,
		"internal/runtime/syscall/linux.Syscall6":         true,
		"internal/bytealg.IndexByteString":                true,
		"memeqbody":                                       true,
		"syscall.Syscall":                                 true,
		"syscall.(*LazyProc).Call":                        true,
		"runtime/pprof.Do":                                false,
		"runtimes.Touch":                                  false,
		"bytes.Equal":                                     false,
		"main.main":                                       false,
		"example.com/runtime.Touch":                       false,
		"example.com/a.b/syscall.Touch":                   false,
		"go.etcd.io/bbolt.(*Cursor).Seek":                 false,
		"internal/poll.(*FD).Read":                        false,
		"github.com/x/y.Generic[...]":                     false,
		"github.com/x/y.Generic[github.com/x/runtime.T].": false,
		"crosscall2":                                      false,
	} {
		if got := inRuntime(function); got != want {
			t.Errorf("inRuntime(%q) is %v", function, got)
		}
	}
}

func TestOutsideRuntime(t *testing.T) {
	frames := func(names ...string) (fs []runtime.Frame) {
		for _, n := range names {
			fs = append(fs, runtime.Frame{Function: n})
		}
		return fs
	}
	if f := outsideRuntime(frames("runtime.memmove", "", "main.copy", "main.main")); f == nil || f.Function != "main.copy" {
		t.Errorf("%v, want main.copy", f)
	}
	if f := outsideRuntime(frames("runtime.gcDrain", "runtime.goexit")); f != nil {
		t.Errorf("%v of a stack of the runtime's own", f)
	}
	if f := outsideRuntime(nil); f != nil {
		t.Errorf("%v of no stack", f)
	}
}

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
