package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/internal/demo/index"
	"github.com/firsttouch/firsttouch/internal/demo/search"
	"github.com/firsttouch/firsttouch/internal/endpoint"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// Service is the profiled program, steered by remote calls; see control.go.
type Service struct {
	mu       sync.Mutex // one call at a time; guards what follows
	args     StartArgs
	ix       *index.Index
	agent    *agent.Agent // does nothing in the run without the profiler
	tracing  *tracing
	metering *metering // nil without the profiler
	latency  search.Latency
	cache    search.Cache // nil without windows
	server   *endpoint.Server
	before   *profiler.Snapshot // at the end of the last phase; nil without the profiler
}

// Start opens the database, attaches the profiler to the mapping that bbolt made, and serves.
func (s *Service) Start(args *StartArgs, reply *StartReply) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ix != nil {
		return errors.New("the service was started already")
	}
	s.args = *args
	ctx := context.Background()
	var err error
	if s.ix, err = index.Open(args.Database); err != nil {
		return err
	}
	if args.Profile {
		if s.metering, err = newMetering(ctx); err != nil {
			return err
		}
	}
	if s.agent, err = agent.Start(ctx, s.agentOptions()...); err == nil && args.Profile {
		_, err = s.agent.AttachFile(args.Database, profiler.WithGuard(s.ix.Hold))
	}
	if err == nil && args.Cache > 0 {
		s.cache, err = newAnswers(s.agent, args.Cache)
	}
	if err == nil && args.Profile && args.Heap {
		// All of it: a heap of some MiB has few blocks to choose from. Not in user mode only: then the agent's
		// notes say so, and the other regions are shown.
		if _, heapErr := s.agent.AttachGoHeap(profiler.WithHeapShare(1)); !errors.Is(heapErr, profiler.ErrNotSupported) {
			err = heapErr
		}
	}
	if errors.Is(err, profiler.ErrNotSupported) {
		reply.Unsupported = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	if s.tracing, err = newTracing(ctx, s.agent, args.Out, args.Profile); err != nil {
		return err
	}
	if p := s.agent.Profiler(); p != nil {
		s.before = p.Snapshot()
	}
	if err := s.serve(ctx, args.Listen); err != nil {
		return fmt.Errorf("the service's address: %w: choose another with -listen", err)
	}
	reply.Address = s.server.Addr().String()
	return nil
}

// The flight recorder keeps the latest requests. The recording of the demo is to have all of them, also of a million.
const (
	flightAge   = time.Hour
	flightBytes = 512 << 20
)

func (s *Service) agentOptions() []agent.Option {
	if !s.args.Profile {
		return []agent.Option{agent.Disabled()}
	}
	// Every stack: the demo shows what there is to see, where a service would bound the cost.
	// The service copies what it answers out of profiled memory, so in user mode only no system call of it fails.
	opts := []agent.Option{agent.Required(), agent.WithStacks(profiler.StacksEvery()),
		agent.WithMeterProvider(s.metering.provider), agent.WithFailingSystemCalls(), agent.WithFlightRecorder(flightAge, flightBytes)}
	if s.args.Windows != 0 {
		opts = append(opts, agent.WithWindows(s.args.Windows))
	}
	if s.args.Granule != 0 {
		opts = append(opts, agent.WithGranule(s.args.Granule))
	}
	return opts
}

// serve guards the service as an agent does its endpoint: metrics ask for the token too.
func (s *Service) serve(ctx context.Context, address string) (err error) {
	guard := endpoint.NewGuard(os.Getenv(endpoint.TokenVariable), nil)
	mux := http.NewServeMux()
	mux.Handle("/debug/firsttouch/", s.agent.Handler())
	if s.metering != nil {
		mux.Handle("/metrics", guard.Handler(s.metering.handler()))
	}
	search.Register(mux, s.ix, s.cache, func(h http.Handler) http.Handler {
		return s.latency.Wrap(otelhttp.NewHandler(h, "search"))
	})
	s.server, err = endpoint.Serve(ctx, address, guard, mux, 2*maxConcurrency)
	return err
}

// stop ends what Start began, in reverse; after it the database is plain memory again, and closed.
func (s *Service) stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.server != nil {
		errs = append(errs, s.server.Shutdown(ctx), s.server.Err())
	}
	if s.tracing != nil {
		errs = append(errs, s.tracing.provider.Shutdown(ctx))
	}
	if s.metering != nil {
		errs = append(errs, s.metering.provider.Shutdown(ctx))
	}
	if s.agent != nil {
		errs = append(errs, s.agent.Shutdown(ctx))
	}
	if s.ix != nil {
		errs = append(errs, s.ix.Close())
	}
	return errors.Join(errs...)
}
