package convert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"path/filepath"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/traces"
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
	td := ptrace.NewTraces()
	res := td.ResourceSpans().AppendEmpty()
	attrs := res.Resource().Attributes()
	attrs.PutStr("service.name", filepath.Base(r.Origin.Program))
	attrs.PutStr("process.executable.path", r.Origin.Program)
	attrs.PutInt("process.pid", int64(r.Origin.Process))
	scope := res.ScopeSpans().AppendEmpty()
	scope.Scope().SetName(traces.ScopeName)
	scope.Scope().SetVersion(exporter.Version)
	of := faultsBySpan(r)
	for i := range r.Requests {
		q := &r.Requests[i]
		s := scope.Spans().AppendEmpty()
		s.SetTraceID(q.TraceID)
		s.SetSpanID(q.SpanID)
		s.SetParentSpanID(q.ParentID)
		s.SetName(q.Name)
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
			s.Attributes().PutStr("url.path", q.Target)
		}
		if q.Faults > 0 {
			s.Attributes().PutInt(exporter.AttrFaults, int64(q.Faults))
			s.Attributes().PutDouble(exporter.AttrStall, q.Stall.Seconds())
			s.Attributes().PutDouble(exporter.AttrStallMax, q.Max.Seconds())
			s.Attributes().PutInt(exporter.AttrTouched, int64(q.Touched))
		}
		for n, b := range traces.Bursts(r.Snapshot, of[spanKey{q.TraceID, q.SpanID}]) {
			burst(r, scope.Spans().AppendEmpty(), q, b, n)
		}
	}
	line, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	if err != nil {
		return fmt.Errorf("OTLP: %w", err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
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
		m.PutStr(key, kv.Value.String())
	}
}
