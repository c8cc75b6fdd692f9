package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"time"

	"github.com/firsttouch/firsttouch/exporter/findings"
	"github.com/firsttouch/firsttouch/exporter/pprof"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/prefetch"
	"github.com/firsttouch/firsttouch/internal/touchorder"
	"github.com/firsttouch/firsttouch/profiler"
)

// flushBudget bounds the wait for a collector that does not answer.
const flushBudget = 15 * time.Second

// ServeControl answers the calls that come in on r until it ends, and then stops the service.
func ServeControl(r io.Reader, w io.WriteCloser) error {
	s := &Service{}
	server := rpc.NewServer()
	if err := server.Register(s); err != nil {
		return err
	}
	server.ServeCodec(jsonrpc.NewServerCodec(stdio{r, w}))
	ctx, cancel := context.WithTimeout(context.Background(), flushBudget)
	defer cancel()
	return s.stop(ctx)
}

// Phase ends a phase: it reports what happened since the last call.
func (s *Service) Phase(_ *struct{}, reply *PhaseReply) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply.Latency, reply.Memory = s.latency.Take(), readMemory()
	if s.before == nil {
		return nil
	}
	p := s.agent.Profiler()
	p.Flush()
	now := p.Snapshot()
	for _, r := range now.Sub(s.before).Regions {
		reply.Faults += r.Faults
		reply.Stall += r.Stall.Sum
	}
	s.before = now
	return nil
}

// Prefetched holds an order that was read ahead against the first touches so far.
func (s *Service) Prefetched(args *PrefetchedArgs, reply *prefetch.Outcome) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := os.Open(args.Order)
	if err != nil {
		return err
	}
	defer f.Close()
	order, err := touchorder.Read(f)
	if err != nil {
		return err
	}
	p := s.agent.Profiler()
	p.Flush()
	*reply = prefetch.Measure(order, p.Snapshot())
	return nil
}

// Finish writes the profiles, completes the traces and sums up. The service goes on serving.
func (s *Service) Finish(_ *struct{}, reply *FinishReply) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.before == nil {
		return errors.New("nothing was profiled")
	}
	s.latency.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), flushBudget)
	defer cancel()
	// An error here is the collector's: it is counted by the error handler, too.
	if err := s.tracing.provider.ForceFlush(ctx); err != nil {
		s.tracing.failed(err)
	}
	var requests []summary.Request
	requests, reply.Spans.Ended = s.tracing.recorder.close()
	p := s.agent.Profiler()
	p.Flush()
	snap := p.Snapshot()
	sets := s.agent.WorkingSets()
	reply.Profile = summary.Build(snap, summary.Listed(requests), summary.DefaultLimits())
	reply.Profile.WorkingSets = summary.WorkingSets(snap, sets)
	reply.Profile.Findings = findings.Of(&recording.Recording{Snapshot: snap, WorkingSets: sets}, &reply.Profile)
	reply.Export, reply.Notes = s.tracing.export(), s.agent.Notes()
	var err error
	if reply.Metrics, err = s.metering.flush(ctx); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}

	written, err := s.tracing.file.written()
	reply.Spans.Written = written
	if err = errors.Join(outputError(s.args.Out, err), s.writeProfiles(snap)); err != nil {
		reply.Failed = err.Error()
	}
	return nil
}

func (s *Service) writeProfiles(snap *profiler.Snapshot) error {
	working := func(w io.Writer) error { return pprof.Write(w, pprof.ByCode(snap, pprof.WithSpans())) }
	address := func(w io.Writer) error { return pprof.Write(w, pprof.ByAddress(snap)) }
	if err := writeFile(s.args.Out, fileProfile, working); err != nil {
		return err
	}
	if err := writeFile(s.args.Out, fileAddress, address); err != nil {
		return err
	}
	return writeFile(s.args.Out, fileRecord, func(w io.Writer) error { return s.agent.WriteRecording(w, "firsttouch demo") })
}
