package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// budget bounds the whole run: what waits, waits in vain by then.
const budget = 10 * time.Minute

func main() {
	var p programs
	flag.StringVar(&p.jaeger, "jaeger", "", "`program` of Jaeger, all in one")
	flag.StringVar(&p.prometheus, "prometheus", "", "`program` of Prometheus 3")
	flag.StringVar(&p.firsttouch, "firsttouch", "", "`program` under test")
	flag.StringVar(&p.cache, "cache", "", "`directory` for the demo's index (default as the demo's own)")
	flag.IntVar(&p.requests, "requests", 1500, "requests of each phase of the demo")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	r := &results{}
	if err := run(ctx, p, r); err != nil {
		r.fail("the run itself", "%v", err)
	}
	if !r.print(os.Stdout) {
		os.Exit(1)
	}
}

// programs are what is started.
type programs struct {
	jaeger, prometheus, firsttouch, cache string
	requests                              int
}

func run(ctx context.Context, p programs, r *results) (err error) {
	dir, err := os.MkdirTemp("", "firsttouch-e2e")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var all started
	defer func() {
		if e := all.stop(); err == nil {
			err = e
		}
	}()
	j, err := startJaeger(ctx, &all, p.jaeger, dir)
	if err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	prom, err := startPrometheus(ctx, &all, p.prometheus, dir, address)
	if err != nil {
		return err
	}
	began := time.Now()
	d, err := startDemo(ctx, &all, p, filepath.Join(dir, "demo"), address, j.traces, prom.metrics)
	if err != nil {
		return err
	}
	t, err := gather(ctx, d, prom)
	if err != nil {
		return err
	}
	fmt.Printf("The demo: %d first touches in %d requests; Jaeger at %s, Prometheus at %s\n",
		t.snap.Engine.Faults, d.summary.Profile.Requests.Count, j.query, prom.base)
	for _, job := range []string{jobScraped, jobSent} {
		if err := checkValues(ctx, r, prom, t, d, job); err != nil {
			return err
		}
		if err := checkDashboards(ctx, r, prom, t, job, began); err != nil {
			return err
		}
	}
	if err := checkRules(ctx, r, prom); err != nil {
		return err
	}
	spans, err := checkTraces(ctx, r, j, t, d, began)
	if err != nil {
		return err
	}
	if err := checkLinks(ctx, r, d, spans); err != nil {
		return err
	}
	for _, job := range []string{jobScraped, jobSent} {
		if err := checkExemplars(ctx, r, prom, t, spans, job, began); err != nil {
			return err
		}
	}
	return nil
}
