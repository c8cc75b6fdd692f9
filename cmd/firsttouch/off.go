package main

import (
	"net/url"

	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/spf13/cobra"
)

func newOff() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "off ADDRESS",
		Short: "Take the profiler of a live agent off; the service goes on",
		Long: `off takes the profiler of a live agent off, at once and until the service is started again: all memory
becomes plain memory with its contents, and nothing is armed again. What was seen stays readable. ADDRESS is
host:port, :port for this machine, or a URL. It prints one line: since when, why, and what is left to do.`,
		Example: `  firsttouch off :6060
  firsttouch off -reason "latency of checkout" host:6060`,
		Args: want(":6060", "the address of a live agent: host:port, :port for this machine, or a URL"),
		RunE: runningWith(func(c *cobra.Command, args []string) error {
			body, err := recordings.Post(c.Context(), args[0], "off?"+url.Values{"reason": {reason}}.Encode())
			return printAnswer(c, body, err)
		}),
	}
	c.Flags().StringVar(&reason, "reason", "", "`text` that the agent gives as its reason, in logs and results")
	return c
}
