package main

import (
	"fmt"
	"io"

	"github.com/firsttouch/firsttouch/internal/convert"
	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/spf13/cobra"
)

func newConvert() *cobra.Command {
	var source sourceFlags
	var to, out string
	c := &cobra.Command{
		Use:   "convert SOURCE",
		Short: "Write a recording in the form of another tool",
		Long: `convert writes with

  -to chrome   trace events for https://ui.perfetto.dev: first touches by thread, requests, memory
  -to otlp     the requests with what they waited for, as OTLP JSON for a collector or for Jaeger

` + sourceHelp,
		Example: `  firsttouch convert -to chrome -out trace.json firsttouch-demo/recording.ftr
  firsttouch convert -to otlp -out - :6060 | curl -H 'Content-Type: application/json' -d @- http://localhost:4318/v1/traces`,
		Args:              wantSource(),
		ValidArgsFunction: recordingFiles,
		RunE: runningWith(func(c *cobra.Command, args []string) error {
			write, ok := map[string]func(io.Writer, *recordings.Opened) error{
				"chrome": func(w io.Writer, r *recordings.Opened) error { return convert.Chrome(w, r.Recording) },
				"otlp":   func(w io.Writer, r *recordings.Opened) error { return convert.OTLP(w, r.Recording) },
			}[to]
			if !ok {
				return fmt.Errorf("%w: -to %q: choose chrome or otlp", recordings.ErrUsage, to)
			}
			return source.read(c, args[0], func(r *recordings.Opened) error {
				return toFile(c, out, false, func(w io.Writer) error { return write(w, r) })
			})
		}),
	}
	source.add(c)
	c.Flags().StringVar(&to, "to", "", "the `form`: chrome or otlp")
	c.Flags().StringVarP(&out, "out", "o", "-", "`file` to write, '-' for the standard output")
	return c
}
