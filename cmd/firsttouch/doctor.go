package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/firsttouch/firsttouch/internal/doctor"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/spf13/cobra"
)

// trialCommand is the hidden command in which doctor tries the profiler.
const trialCommand = "doctor-trial"

func newDoctor() *cobra.Command {
	var asJSON, verbose bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this kernel, user and container allow, and how to allow more",
		Long: `doctor asks the kernel what it allows, feature by feature, tries the profiler on a little
memory of its own in a process of its own, and names the remedy for what does not work.

Exit status: 0 when the profiler works here, 3 when it does not, or not without letting system calls of the
service fail.`,
		Args: cobra.NoArgs,
		RunE: running(func(c *cobra.Command) error {
			exe, err := os.Executable()
			if err != nil {
				return fmt.Errorf("finding this program, to run it in a child: %w", err)
			}
			return printDoctor(c, doctor.Run(c.Context(), exe, trialCommand), asJSON, verbose)
		}),
	}
	c.Flags().BoolVar(&verbose, "verbose", false, "print every answer: ways, delivery, limits, features and ioctls of the kernel")
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}

func printDoctor(c *cobra.Command, r doctor.Report, asJSON, verbose bool) error {
	if err := c.Context().Err(); err != nil {
		return err
	}
	var err error
	switch {
	case asJSON:
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", "  ")
		err = e.Encode(r)
	case verbose:
		err = doctor.RenderAll(screen(c), r)
	default:
		exe, _ := os.Executable() // it was found before
		err = doctor.Render(screen(c), r, invocation(exe, os.Args[0]))
	}
	switch {
	case err != nil:
		return fmt.Errorf("printing the report: %w", err)
	case !r.Works:
		return fmt.Errorf("%w: %w: %s", errReported, profiler.ErrNotSupported, r.Verdict)
	}
	return nil
}

func newTrial() *cobra.Command {
	return &cobra.Command{
		Use:    trialCommand,
		Short:  "Try the profiler and print what happened, for doctor",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   running(func(c *cobra.Command) error { return doctor.WriteTrial(c.OutOrStdout()) }),
	}
}
