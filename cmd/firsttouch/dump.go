package main

import (
	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/spf13/cobra"
)

func newDump() *cobra.Command {
	return &cobra.Command{
		Use:   "dump ADDRESS",
		Short: "Show what the profiler of a live agent is doing at this moment, for a service that hangs",
		Long: `dump prints what the profiler of a live agent is doing: the armed ranges, the threads whose faults are not resolved yet, the threads that
wait for storage, and the profiler's own threads that are busy. A list of goroutines has none of that. It answers where the profiler
hangs; where the whole service does, SIGQUIT prints the same in front of the goroutines, and ends it. ADDRESS is host:port, :port for this machine, or a URL.`,
		Example: `  firsttouch dump :6060`,
		Args:    want(":6060", "the address of a live agent: host:port, :port for this machine, or a URL"),
		RunE: runningWith(func(c *cobra.Command, args []string) error {
			body, err := recordings.Fetch(c.Context(), args[0], "engine")
			return printAnswer(c, body, err)
		}),
	}
}
