package demo

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/internal/demo/index"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"golang.org/x/sys/unix"
)

// childBudget bounds a hang.
const childBudget = 2 * time.Minute

// inChild is set in the processes that testproc starts.
const inChild = "DEMO_TEST_CHILD"

func childOnly(t *testing.T) {
	t.Helper()
	if os.Getenv(inChild) == "" {
		t.Skip("runs in a child process of another test")
	}
}

func TestDemoAsOrdinaryUser(t *testing.T) {
	uffdtest.Need(t)
	if os.Getuid() != 0 {
		t.Skip("only root can become another user; TestDemo runs as this one")
	}
	testproc.Run(t, "TestDemoOfOrdinaryUser", []string{inChild + "=1"}, childBudget, testproc.AsUser(65534))
}

func TestDemoOfOrdinaryUser(t *testing.T) {
	childOnly(t)
	uffdtest.Need(t)
	if os.Getuid() == 0 {
		t.Fatal("still root")
	}
	checkDemo(t, small(t))
}

// Systems that refuse userfaultfd, as a container does, and more: the demo takes what is left and says so, and where nothing is left
// it refuses before any work.
func TestDemoWhereTheSystemRefuses(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become a user for whom the device is closed")
	}
	for _, test := range []string{"TestDemoBySignal", "TestDemoObserving", "TestRefusedDemo"} {
		t.Run(test, func(t *testing.T) {
			testproc.Run(t, test, []string{inChild + "=1"}, childBudget, testproc.AsUser(65534))
		})
	}
}

func TestDemoBySignal(t *testing.T) {
	deny(t, unix.SYS_USERFAULTFD, unix.SYS_PERF_EVENT_OPEN)
	sum := checkDemo(t, small(t))
	checkObserved(t, sum, profiler.DeliverySignal, "fail here (by signal;", "by signal: each first touch")
}

// Without close_range(2), as in containers of old, nothing can be armed.
func TestDemoObserving(t *testing.T) {
	childOnly(t)
	if _, err := profiler.Observable(); err != nil {
		t.Skipf("perf events cannot be had: %v", err)
	}
	deny(t, unix.SYS_USERFAULTFD, unix.SYS_CLOSE_RANGE)
	sum := run(t, small(t))
	if e := sum.Profile.Engine; e.Faults == 0 || e.UserModeOnly || !sum.SameAnswers {
		t.Errorf("engine %+v, same answers %v, notes %q", e, sum.SameAnswers, sum.Notes)
	}
	checkObserved(t, sum, profiler.DeliveryObserve, "Nothing can be armed here", "by observing alone")
}

// checkObserved wants the result, and what is printed of it, to say how first touches were observed.
func checkObserved(t *testing.T, sum Summary, want profiler.Delivery, texts ...string) {
	t.Helper()
	if got := sum.Profile.Engine.Delivery; got != want.String() {
		t.Errorf("delivery %q, want %v", got, want)
	}
	var b strings.Builder
	if err := Render(&b, sum, "out", ""); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if !strings.Contains(b.String(), text) {
			t.Errorf("%q is not in\n%s", text, b.String())
		}
	}
	// Which stacks are taken is the kernel's choice where page faults are observed alone.
	if said := strings.Contains(b.String(), "had its stack taken"); said != (want != profiler.DeliveryObserve) {
		t.Errorf("that every first touch had its stack taken is said: %v, in\n%s", said, b.String())
	}
}

func TestRefusedDemo(t *testing.T) {
	deny(t, unix.SYS_USERFAULTFD, unix.SYS_PERF_EVENT_OPEN, unix.SYS_CLOSE_RANGE)
	o := small(t)
	err := Execute(context.Background(), o)
	if !errors.Is(err, profiler.ErrNotSupported) {
		t.Fatalf("got %v, want ErrNotSupported", err)
	}
	for _, want := range []string{"firsttouch doctor", "seccomp", "/dev/userfaultfd", "close_range", "perf_event_open"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not name %q", err, want)
		}
	}
	if _, err := os.Stat(o.Cache); err == nil {
		t.Error("the index was built first")
	}
	// The service itself is refused in the same way.
	tree, err := index.ListTree(o.Source)
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{Options: o, out: t.TempDir()}
	if d.database, _, err = index.Ensure(t.Context(), tree, o.Cache, nil); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := d.runService(t.Context(), true); !errors.Is(err, profiler.ErrNotSupported) {
		t.Errorf("service: %v, want ErrNotSupported", err)
	}
}

// deny makes system calls fail with EPERM in this process and its children. It skips where the device of userfaultfd is open.
func deny(t *testing.T, calls ...uint32) {
	t.Helper()
	childOnly(t)
	if f, err := os.Open("/dev/userfaultfd"); err == nil {
		f.Close()
		t.Skip("the device is open to everyone here")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // seccomp_data.nr
	for _, nr := range calls {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno == unix.ENOSYS || errno == unix.EINVAL {
		t.Skipf("the kernel has no seccomp filters: %v", errno)
	}
	if errno != 0 {
		t.Fatalf("seccomp: %v", errno)
	}
}

func TestExportToACollector(t *testing.T) {
	uffdtest.Need(t)
	var spans, faults atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case err != nil:
		case r.URL.Path == "/v1/traces":
			request := ptraceotlp.NewExportRequest()
			err = request.UnmarshalProto(body)
			spans.Add(int64(request.Traces().SpanCount()))
		case r.URL.Path == "/v1/metrics":
			request := pmetricotlp.NewExportRequest()
			err = request.UnmarshalProto(body)
			faults.Store(sumOf(request.Metrics(), exporter.MetricFaults))
		default:
			err = errors.New("nothing that the demo should send")
		}
		if err != nil {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
	}))
	defer srv.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	sum := run(t, small(t))
	for _, e := range []Export{sum.Export, sum.Metrics} {
		if e.Endpoint != srv.URL || e.Failures != 0 {
			t.Errorf("export %+v", e)
		}
	}
	if got := faults.Load(); uint64(got) != sum.Profile.Engine.Faults {
		t.Errorf("the collector got %d first touches, want %d", got, sum.Profile.Engine.Faults)
	}
	// Those of the run with the profiler alone: the other one is there to be compared.
	if got := int(spans.Load()); got != sum.Spans.Ended {
		t.Errorf("the collector got %d spans, want %d", got, sum.Spans.Ended)
	}
}

// sumOf adds up the points of a counter.
func sumOf(m pmetric.Metrics, name string) (sum int64) {
	for _, r := range m.ResourceMetrics().All() {
		for _, s := range r.ScopeMetrics().All() {
			for _, one := range s.Metrics().All() {
				if one.Name() == name {
					for _, p := range one.Sum().DataPoints().All() {
						sum += p.IntValue()
					}
				}
			}
		}
	}
	return sum
}

// Where nothing takes metrics, that is said, with the variable that ends it.
func TestMetricsToNobody(t *testing.T) {
	uffdtest.Need(t)
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", srv.URL)
	sum := run(t, small(t))
	if sum.Metrics.Failures == 0 || !strings.Contains(strings.Join(sum.Notes, "\n"), "OTEL_METRICS_EXPORTER=none") {
		t.Errorf("metrics %+v, notes %q", sum.Metrics, sum.Notes)
	}
	if sum.Export.Endpoint != "" || sum.Export.Failures != 0 || !sum.SameAnswers {
		t.Errorf("traces %+v, same answers %v", sum.Export, sum.SameAnswers)
	}
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	if sum := run(t, small(t)); sum.Metrics.Endpoint != "" || sum.Metrics.Failures != 0 {
		t.Errorf("switched off: %+v", sum.Metrics)
	}
}

// A collector that is not there costs a note, and nothing else.
func TestExportToNobody(t *testing.T) {
	uffdtest.Need(t)
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", srv.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "500")
	sum := run(t, small(t))
	if sum.Export.Failures == 0 || !strings.Contains(strings.Join(sum.Notes, "\n"), "OTLP over HTTP") {
		t.Errorf("export %+v, notes %q", sum.Export, sum.Notes)
	}
	if sum.Spans.Written != sum.Spans.Ended || !sum.SameAnswers {
		t.Errorf("spans %+v, same answers %v", sum.Spans, sum.SameAnswers)
	}
}

// Variables that are meant for services do not change what the demo shows.
func TestDemoIgnoresTheAgentsVariables(t *testing.T) {
	uffdtest.Need(t)
	t.Setenv("FIRSTTOUCH_DISABLED", "true")
	t.Setenv("FIRSTTOUCH_STACKS", "none")
	sum := run(t, small(t))
	if e := sum.Profile.Engine; e.Faults == 0 || e.Stacks == 0 {
		t.Errorf("engine %+v", e)
	}
}
