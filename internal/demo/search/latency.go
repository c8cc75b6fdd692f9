package search

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// Latency records how long the service itself takes for each request, from its first instruction
// to its last, without the network and without the wait for a connection to be accepted.
// It is safe for concurrent use.
type Latency struct {
	mu      sync.Mutex // guards what follows
	each    []time.Duration
	stopped bool
}

// Wrap measures a handler.
func (l *Latency) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		next.ServeHTTP(w, r)
		took := time.Since(start)
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.stopped {
			l.each = append(l.each, took)
		}
	})
}

// Percentiles describe the requests of a phase.
type Percentiles struct {
	Requests int           `json:"requests"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	Max      time.Duration `json:"max_ns"`
}

// Take returns the percentiles of the requests since the last call.
func (l *Latency) Take() Percentiles {
	l.mu.Lock()
	each := l.each
	l.each = nil
	l.mu.Unlock()
	slices.Sort(each)
	return Percentiles{
		Requests: len(each), P50: quantile(each, 50), P99: quantile(each, 99), Max: quantile(each, 100),
	}
}

// Stop ends the recording: a service that goes on must not grow.
func (l *Latency) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.each, l.stopped = nil, true
}

// quantile is the smallest element that percent of all do not exceed.
func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*percent+99)/100-1]
}
