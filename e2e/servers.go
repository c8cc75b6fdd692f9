package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/firsttouch/firsttouch/dashboards"
	"github.com/firsttouch/firsttouch/internal/demo"
)

// jaeger is a running one.
type jaeger struct {
	query  string // its page and API
	traces string // where it takes OTLP over HTTP
}

func startJaeger(ctx context.Context, s *started, program, dir string) (j jaeger, err error) {
	var ports [3]string
	for i := range ports {
		if ports[i], err = freeAddress(); err != nil {
			return j, err
		}
	}
	ui := filepath.Join(dir, "ui.json")
	if err := unpack("jaeger/ui.json", ui); err != nil {
		return j, err
	}
	const any = "127.0.0.1:0" // not needed, and not to be open to others
	p, err := s.start(ctx, "Jaeger", nil, []string{"SPAN_STORAGE_TYPE=memory"}, program,
		"--query.http-server.host-port="+ports[0], "--collector.otlp.http.host-port="+ports[1],
		"--collector.grpc-server.host-port="+ports[2], "--reporter.grpc.host-port="+ports[2],
		"--query.grpc-server.host-port="+any, "--collector.otlp.grpc.host-port="+any, "--collector.http-server.host-port="+any,
		"--admin.http.host-port="+any, "--http-server.host-port="+any, "--processor.jaeger-binary.server-host-port="+any,
		"--processor.jaeger-compact.server-host-port="+any, "--processor.zipkin-compact.server-host-port="+any,
		"--query.ui-config="+ui)
	if err != nil {
		return j, err
	}
	j = jaeger{query: "http://" + ports[0], traces: "http://" + ports[1] + "/v1/traces"}
	return j, p.answers(ctx, j.query+"/api/services")
}

// unpack writes a file of the dashboards.
func unpack(name, to string) error {
	text, err := fs.ReadFile(dashboards.Files, name)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}

// The jobs under which Prometheus knows the demo.
const (
	jobScraped = "scraped"
	jobSent    = "firsttouch-demo" // by OTLP: the service's name
)

const promConfig = `
global: {scrape_interval: 500ms, evaluation_interval: 500ms}
rule_files: [%q]
scrape_configs:
  - job_name: %s
    static_configs: [{targets: [%q]}]
`

func startPrometheus(ctx context.Context, s *started, program, dir, target string) (*prometheus, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	rules, config := filepath.Join(dir, "rules.yml"), filepath.Join(dir, "prometheus.yml")
	if err := unpack("prometheus/rules.yml", rules); err != nil {
		return nil, err
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, promConfig, rules, jobScraped, target), 0o644); err != nil {
		return nil, err
	}
	p, err := s.start(ctx, "Prometheus", nil, nil, program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "tsdb"),
		"--web.listen-address="+address, "--web.enable-otlp-receiver", "--enable-feature=exemplar-storage")
	if err != nil {
		return nil, err
	}
	prom := &prometheus{base: "http://" + address, metrics: "http://" + address + "/api/v1/otlp/v1/metrics"}
	if err := p.answers(ctx, prom.base+"/-/ready"); err != nil {
		return nil, err
	}
	return prom, prom.scrapes(ctx)
}

// demoRun is the demo, still serving.
type demoRun struct {
	page    string // of the profiler
	summary demo.Summary
}

func startDemo(ctx context.Context, s *started, p programs, out, address, traces, metrics string) (*demoRun, error) {
	r, w := io.Pipe()
	args := []string{"demo", "-json", "-windows", "-window", "5s", "-heap=false", "-serve", "-listen", address, "-out", out, "-requests", strconv.Itoa(p.requests)}
	if p.cache != "" {
		args = append(args, "-cache", p.cache)
	}
	run, err := s.start(ctx, "the demo", w, []string{
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + traces, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=" + metrics,
		"OTEL_METRIC_EXPORT_INTERVAL=500",
	}, p.firsttouch, args...)
	if err != nil {
		return nil, err
	}
	go func() {
		<-run.done
		w.CloseWithError(run.died())
	}()
	d := &demoRun{page: "http://" + address + "/debug/firsttouch/"}
	if err := json.NewDecoder(r).Decode(&d.summary); err != nil {
		return nil, err
	}
	go io.Copy(io.Discard, r) // nothing more is expected; it ends with the demo
	for _, e := range []demo.Export{d.summary.Export, d.summary.Metrics} {
		if e.Endpoint == "" || e.Failures > 0 {
			return nil, fmt.Errorf("the demo could not send to %s: %d failures, the first: %s", e.Endpoint, e.Failures, e.First)
		}
	}
	if !d.summary.SameAnswers {
		return nil, errors.New("the demo's answers differ")
	}
	return d, nil
}

// settle is how long the demo is given, after it has finished, to be scraped and to send once more.
const settle = 30 * time.Second
