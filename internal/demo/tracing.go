package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/firsttouch/firsttouch/agent"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// spanQueue holds the spans of a whole run: the demo's file is complete, where a service would
// rather drop.
const spanQueue = 1 << 17

// tracing is the service's OpenTelemetry pipeline.
type tracing struct {
	provider *sdktrace.TracerProvider
	recorder *recorder
	file     *traceFile
	endpoint string

	mu       sync.Mutex // guards what follows
	failures int
	first    error
}

// newTracing sends the spans to a file in out (or, where out is empty, to the null device, for the
// same work), and in addition to the collector that the environment names when remote is set.
func newTracing(ctx context.Context, a *agent.Agent, out string, remote bool) (*tracing, error) {
	t := &tracing{recorder: &recorder{}}
	path := os.DevNull
	if out != "" {
		path = filepath.Join(out, fileTraces)
	}
	var err error
	if t.file, err = openTraceFile(path); err != nil {
		return nil, outputError(out, err)
	}
	file, err := otlptrace.New(ctx, t.file)
	if err != nil {
		return nil, err
	}
	next := fanout{t.recorder, batch(file)}
	if t.endpoint = tracesEndpoint(); t.endpoint != "" && remote {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("exporter for %s: %w: correct or unset OTEL_EXPORTER_OTLP_ENDPOINT", t.endpoint, err)
		}
		next = append(next, batch(exporter))
	}
	// The pipeline's errors come by the SDK's global handler, whose default writes to the log.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(t.failed))
	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithResource(serviceResource()),
		sdktrace.WithSampler(a.Sampler(sdktrace.AlwaysSample())),
		sdktrace.WithSpanProcessor(a.SpanProcessor(next)),
	)
	otel.SetTracerProvider(t.provider)
	return t, nil
}

// serviceResource says who sends. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before it.
func serviceResource() *resource.Resource {
	own := resource.NewSchemaless(attribute.String("service.name", "firsttouch-demo"),
		attribute.String("service.instance.id", strconv.Itoa(os.Getpid())))
	r, err := resource.Merge(own, resource.Environment())
	if err != nil {
		return own // schemas that differ: there is none here
	}
	return r
}

func batch(e sdktrace.SpanExporter) sdktrace.SpanProcessor {
	return sdktrace.NewBatchSpanProcessor(e, sdktrace.WithMaxQueueSize(spanQueue))
}

// endpoint is where the environment wants traces sent, or empty.
func tracesEndpoint() string {
	if e := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"); e != "" {
		return e
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
}

// failed counts the errors of the exporter to the collector; the file keeps its own.
func (t *tracing) failed(err error) {
	if _, own := t.file.written(); own != nil && errors.Is(err, own) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures++
	if t.first == nil {
		t.first = err
	}
}

func (t *tracing) export() Export {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := Export{Endpoint: t.endpoint, Failures: t.failures}
	if t.first != nil {
		e.First = t.first.Error()
	}
	return e
}
