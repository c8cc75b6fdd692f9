package main

import (
	"fmt"
	"io"

	"github.com/firsttouch/firsttouch/exporter/pprof"
	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/spf13/cobra"
)

func newPprof() *cobra.Command {
	var source sourceFlags
	var address, spans bool
	var out string
	c := &cobra.Command{
		Use:   "pprof SOURCE",
		Short: "Make a profile for go tool pprof",
		Long: `pprof writes a profile by code (who touched memory first, how much, and how long it waited) or with
-address by place in memory.

` + sourceHelp,
		Example: `  firsttouch pprof firsttouch-demo/recording.ftr && go tool pprof -http=: profile.pb.gz
  firsttouch pprof -address -out address.pb.gz :6060`,
		Args:              wantSource(),
		ValidArgsFunction: recordingFiles,
		RunE: runningWith(func(c *cobra.Command, args []string) error {
			return source.read(c, args[0], func(r *recordings.Opened) error {
				opts := []pprof.Option{pprof.WithExecutables(r.Executables),
					pprof.WithComment(fmt.Sprintf("recording: %s, of process %d (%s): %s", r.Name, r.Origin.Process, r.Origin.Program, r.Origin.Reason))}
				if spans {
					opts = append(opts, pprof.WithSpans())
				}
				build := pprof.ByCode
				if address {
					build = pprof.ByAddress
				}
				return toFile(c, out, true, func(w io.Writer) error { return pprof.Write(w, build(r.Snapshot, opts...)) })
			})
		}),
	}
	source.add(c)
	c.Flags().BoolVar(&address, "address", false, "by place in memory, instead of by code")
	c.Flags().BoolVar(&spans, "spans", false, "label the samples with trace_id and span_id")
	c.Flags().StringVarP(&out, "out", "o", "profile.pb.gz", "`file` to write, '-' for the standard output")
	return c
}
