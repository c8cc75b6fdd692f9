package main

import (
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/firsttouch/firsttouch/internal/demo"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// serviceCommand is the hidden command that is the demo's service.
const serviceCommand = "demo-service"

func newDemo() *cobra.Command {
	var o demo.Options
	granule := bytesValue{&o.Granule}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Profile a real service over a real memory-mapped database",
		Long: `demo runs an HTTP service that searches an index of the identifiers in the Go distribution's
source: every occurrence, with file and line, in a bbolt database of more than 100 MB. The
index is built once, in seconds, and kept in the user's cache directory.

The service runs twice, in a process of its own: without the profiler, and with it attached to
the mapping that bbolt itself made. Before each run the database is dropped from the page
cache. Each run answers the same requests twice, cold and warm.

demo prints what was touched and waited for, and writes into the directory of -out:

  profile.pb.gz    call stacks, for go tool pprof
  address.pb.gz    the file's address space, for go tool pprof
  traces.json      the requests as OTLP JSON, one export request a line
  recording.ftr    all that was seen, for firsttouch report and its kin
  summary.json     all that is printed, for programs

With -windows the service has a cache of answers outside the Go heap as well, and the database, the cache
and the Go heap are armed again every two seconds. After the phases the clients ask for one half of the requests, and
then, for longer, for the other. demo then prints for each window what was touched, new, used again
and idle, the size of the working set by the length of the window, and what a cache of which size would miss.

With -prefetch the order of first touches is made of the recording (app.touch), and the service is started anew, without the profiler: cold,
cold after firsttouch prefetch, and warm.

With OTEL_EXPORTER_OTLP_ENDPOINT set, the requests and the metrics go there as well, by OTLP over
HTTP. OTEL_METRICS_EXPORTER=none keeps the metrics here. With -serve they are at /metrics, too.

It needs no privileges. Without them system calls that are handed a page of the database before its first
touch fail with EFAULT (user mode only). The demo allows that for its own service, which copies what it answers
out of the database first, and says so. A service of yours has to allow it itself: by default nothing is profiled there.`,
		Args: cobra.NoArgs,
		RunE: running(func(c *cobra.Command) error {
			exe, err := os.Executable()
			if err != nil {
				return fmt.Errorf("finding this program, to run it as the service: %w", err)
			}
			o.Service = []string{exe, serviceCommand}
			o.Stdout, o.Stderr = c.OutOrStdout(), c.ErrOrStderr()
			if !o.JSON {
				o.Stdout = screen(c)
			}
			o.Command = invocation(exe, os.Args[0])
			if term.IsTerminal(int(os.Stderr.Fd())) {
				p := newProgress(os.Stderr)
				defer p.finish()
				o.Step, o.Progress, o.BeforeOutput = p.say, p.report, p.finish
			} else {
				o.Step = func(what string) { fmt.Fprintln(c.ErrOrStderr(), what) }
			}
			return demo.Execute(c.Context(), o)
		}),
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.Out, "out", "firsttouch-demo", "`directory` for the results")
	f.IntVar(&o.Requests, "requests", 2000, "requests of each phase")
	f.IntVar(&o.Concurrency, "concurrency", 4, "clients that send them at once")
	f.Uint64Var(&o.Seed, "seed", 1, "what the requests are drawn from: the same seed, the same requests")
	f.Var(granule, "granule", "`bytes` that one fault makes accessible, such as 64KiB: a power of two (default the page size)")
	f.BoolVar(&o.Windows, "windows", false, "arm the memory again and again, for working sets by window; takes a minute more")
	f.BoolVar(&o.Heap, "heap", true, "observe the Go heap too, with -windows")
	f.DurationVar(&o.Window, "window", 2*time.Second, "`length` of a window, with -windows")
	f.BoolVar(&o.Prefetch, "prefetch", false, "start the service cold, cold with prefetch, and warm; takes half a minute more")
	f.BoolVar(&o.Serve, "serve", false, "keep the service and the profiler's pages up until interrupted")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:0", "`address` of the service")
	f.StringVar(&o.Cache, "cache", "", "`directory` for the index (default firsttouch/demo in the user's cache directory)")
	f.StringVar(&o.Source, "source", "", "`directory` of Go files to index (default src of the Go distribution)")
	f.BoolVar(&o.JSON, "json", false, "print the summary as JSON")
	return c
}

func newService() *cobra.Command {
	return &cobra.Command{
		Use:    serviceCommand,
		Short:  "Be the service, steered over standard input and output, for demo",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: running(func(*cobra.Command) error {
			// An interrupt from the terminal reaches both processes. This one ends with its input,
			// so that the other decides when.
			signal.Ignore(os.Interrupt)
			return demo.ServeControl(os.Stdin, os.Stdout)
		}),
	}
}
