package demo

import (
	"context"
	"fmt"
	"os"
	"sync"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// traceFile is an otlptrace.Client that appends to a file: OTLP JSON, one
// ExportTraceServiceRequest a line, as the OpenTelemetry file exporter specification has it.
type traceFile struct {
	mu    sync.Mutex // guards what follows
	f     *os.File
	size  int64 // of the whole lines
	spans int
	err   error // the first one; nothing is written after it
}

// openTraceFile creates or empties the file.
func openTraceFile(path string) (*traceFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	return &traceFile{f: f}, nil
}

// Start does nothing: the file is open.
func (t *traceFile) Start(context.Context) error { return nil }

// UploadTraces appends a line. After an error the file ends with its last whole line.
func (t *traceFile) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	line, n, err := encodeTraces(spans)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return t.err
	}
	if err == nil {
		_, err = t.f.WriteAt(line, t.size)
	}
	if err != nil {
		t.err = fmt.Errorf("%s: %w", fileTraces, err)
		// The device takes no more, but it can give back: half a line would spoil the file. Where
		// even that fails, the first error says enough.
		_ = t.f.Truncate(t.size)
		return t.err
	}
	t.size += int64(len(line))
	t.spans += n
	return nil
}

// Stop closes the file.
func (t *traceFile) Stop(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.f.Close()
}

// written returns the number of spans in the file, and what went wrong.
func (t *traceFile) written() (spans int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.spans, t.err
}

// encodeTraces goes through the wire format, since the two libraries share nothing else. The JSON
// is not protojson's: trace ids are hexadecimal in OTLP.
func encodeTraces(spans []*tracepb.ResourceSpans) (line []byte, n int, err error) {
	wire, err := proto.Marshal(&collector.ExportTraceServiceRequest{ResourceSpans: spans})
	if err != nil {
		return nil, 0, err
	}
	request := ptraceotlp.NewExportRequest()
	if err := request.UnmarshalProto(wire); err != nil {
		return nil, 0, err
	}
	line, err = request.MarshalJSON()
	if err != nil {
		return nil, 0, err
	}
	return append(line, '\n'), request.Traces().SpanCount(), nil
}
