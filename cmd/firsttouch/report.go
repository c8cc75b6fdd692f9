package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/prefetch"
	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/spf13/cobra"
)

func newReport() *cobra.Command {
	var source sourceFlags
	var asJSON bool
	var orderFile string
	limits := summary.DefaultLimits()
	c := &cobra.Command{
		Use:   "report SOURCE",
		Short: "Show regions, callers, requests and times of a recording or a live agent",
		Long: `report prints how much of the memory was needed, how long first touches waited, which code and which
requests waited most, and when.

` + sourceHelp,
		Example: `  firsttouch report firsttouch-demo/recording.ftr
  firsttouch report :6060
  firsttouch report -seconds 10 -json http://host:6060/debug/firsttouch/`,
		Args:              wantSource(),
		ValidArgsFunction: recordingFiles,
		RunE: runningWith(func(c *cobra.Command, args []string) error {
			return source.read(c, args[0], func(r *recordings.Opened) error {
				d := report.Of(r.Recording, r.Name, r.Cut, limits)
				if orderFile != "" {
					order, err := readOrder(orderFile)
					if err != nil {
						return err
					}
					d.Measured(order, prefetch.Measure(order, r.Snapshot))
				}
				if asJSON {
					return printJSON(c.OutOrStdout(), d)
				}
				return printing(report.RenderDocument(screen(c), d))
			})
		}),
	}
	source.add(c)
	c.Flags().IntVar(&limits.Callers, "callers", limits.Callers, "callers to list")
	c.Flags().IntVar(&limits.Requests, "requests", limits.Requests, "requests to list")
	c.Flags().StringVar(&orderFile, "order", "", "order `file` that was read before this start: what firsttouch prefetch saved")
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return printing(e.Encode(v))
}

func printing(err error) error {
	if err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	return nil
}
