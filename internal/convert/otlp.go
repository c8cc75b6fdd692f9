package convert

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/traces"
	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
)

// ErrNoRequests: there is nothing to make spans of.
var ErrNoRequests = errors.New("the recording has no requests: the service passed no spans through Agent.SpanProcessor, or none had ended")

// OTLP writes the requests as one line of OTLP JSON, as the OpenTelemetry file exporter does: each with
// what it waited for, and page_fault.burst spans below it where its faults are in the recording.
func OTLP(w io.Writer, r *recording.Recording) error {
	if len(r.Requests) == 0 {
		return ErrNoRequests
	}
	out := bufio.NewWriter(w)
	of := faultsBySpan(r)
	for i := range r.Requests {
		q := &r.Requests[i]
		key := spanKey{q.TraceID, q.SpanID}
		before, spans, behind, err := request(r, q, faultsAt(r.Snapshot, of[key]))
		if err != nil {
			return fmt.Errorf("OTLP: %w", err)
		}
		if delete(of, key); i == 0 {
			_, _ = out.WriteString(before) // the errors stay until Flush
		} else {
			_ = out.WriteByte(',')
		}
		_, _ = out.WriteString(spans)
		if i == len(r.Requests)-1 {
			_, _ = out.WriteString(behind + "\n")
		} else if err := ended(out); err != nil {
			return err
		}
	}
	return out.Flush()
}

// ended is the error of a writer that takes nothing more.
func ended(w *bufio.Writer) error {
	_, err := w.Write(nil)
	return err
}

// request makes the line of one request, in three parts: those before and behind the spans are the same for all, and so the
// requests become one line without being in memory at once.
func request(r *recording.Recording, q *recording.Request, faults []profiler.Fault) (before, spans, behind string, err error) {
	td := ptrace.NewTraces()
	res := td.ResourceSpans().AppendEmpty()
	attrs := res.Resource().Attributes()
	attrs.PutStr("service.name", plain.Valid(filepath.Base(r.Origin.Program)))
	attrs.PutStr("process.executable.path", plain.Valid(r.Origin.Program))
	attrs.PutInt("process.pid", int64(r.Origin.Process))
	scope := res.ScopeSpans().AppendEmpty()
	scope.Scope().SetName(traces.ScopeName)
	scope.Scope().SetVersion(exporter.Version)
	s := scope.Spans().AppendEmpty()
	s.SetTraceID(q.TraceID)
	s.SetSpanID(q.SpanID)
	s.SetParentSpanID(q.ParentID)
	s.SetName(plain.Valid(q.Name))
	s.SetKind(ptrace.SpanKind(q.Kind)) // the numbers are the same
	if q.Kind == 0 {
		s.SetKind(ptrace.SpanKindInternal)
	}
	s.SetStartTimestamp(stamp(r, q.Start))
	s.SetEndTimestamp(stamp(r, q.Start+q.Duration))
	if q.Failed {
		s.Status().SetCode(ptrace.StatusCodeError)
	}
	if q.Target != "" {
		s.Attributes().PutStr("url.path", plain.Valid(q.Target))
	}
	if q.Faults > 0 {
		s.Attributes().PutInt(exporter.AttrFaults, int64(q.Faults))
		s.Attributes().PutDouble(exporter.AttrStall, q.Stall.Seconds())
		s.Attributes().PutDouble(exporter.AttrStallMax, q.Max.Seconds())
		s.Attributes().PutInt(exporter.AttrTouched, int64(q.Touched))
	}
	for n, b := range traces.Bursts(r.Snapshot, faults) {
		burst(r, scope.Spans().AppendEmpty(), q, b, n)
	}
	line, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	if err != nil {
		return "", "", "", err
	}
	const open, shut = `"spans":[`, `]}]}]}`
	from, to := strings.Index(string(line), open)+len(open), len(line)-len(shut)
	if from < len(open) || to < from || string(line[to:]) != shut {
		return "", "", "", fmt.Errorf("the library writes JSON in another form than is known: %.100s", line)
	}
	return string(line[:from]), string(line[from:to]), shut, nil
}

// burst makes a child of a request. Its id follows from that of the parent, so that the same
// recording gives the same spans.
func burst(r *recording.Recording, s ptrace.Span, q *recording.Request, b traces.Burst, n int) {
	h := fnv.New64a()
	h.Write(q.TraceID[:])
	h.Write(q.SpanID[:])
	id := pcommon.SpanID(binary.BigEndian.AppendUint64(nil, h.Sum64()+uint64(n)))
	s.SetTraceID(q.TraceID)
	s.SetSpanID(id)
	s.SetParentSpanID(q.SpanID)
	s.SetName(exporter.SpanBurst)
	s.SetKind(ptrace.SpanKindInternal)
	s.SetStartTimestamp(stamp(r, b.Start))
	s.SetEndTimestamp(stamp(r, b.End))
	for _, kv := range b.Attributes {
		put(s.Attributes(), kv)
	}
}

func stamp(r *recording.Recording, mono time.Duration) pcommon.Timestamp {
	return pcommon.NewTimestampFromTime(r.WallTime(mono))
}

func put(m pcommon.Map, kv attribute.KeyValue) {
	switch key := string(kv.Key); kv.Value.Type() {
	case attribute.INT64:
		m.PutInt(key, kv.Value.AsInt64())
	case attribute.FLOAT64:
		m.PutDouble(key, kv.Value.AsFloat64())
	case attribute.BOOL:
		m.PutBool(key, kv.Value.AsBool())
	default:
		m.PutStr(key, plain.Valid(kv.Value.String()))
	}
}
