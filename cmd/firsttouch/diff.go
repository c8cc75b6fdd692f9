package main

import (
	"fmt"

	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/spf13/cobra"
)

func newDiff() *cobra.Command {
	var source sourceFlags
	var asJSON bool
	by, callers := string(report.ByChange), 20
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two recordings: what only one touched, and the code that grew",
		Long: `diff compares the working sets of two recordings or live agents, region by region: what was touched in
A alone, in both, and in B alone. Regions belong together by their name, and files by the last element
of their path. Then it lists the code that touches more, or waits longer, in B than in A.

A and B are each a ` + sourceHelp[len("SOURCE is a "):],
		Example: `  firsttouch diff before.ftr after.ftr
  firsttouch diff -by stall monday.ftr :6060`,
		Args:              want("before.ftr after.ftr", "two recordings (files) or addresses of live agents", "a second recording, or the address of a live agent, to compare with"),
		ValidArgsFunction: recordingFiles,
		RunE: runningWith(func(c *cobra.Command, args []string) error {
			order := report.Order(by)
			if order != report.ByChange && order != report.ByTouched && order != report.ByStall {
				return fmt.Errorf("%w: -by %s: choose touched, stall or change", recordings.ErrUsage, by)
			}
			a, err := source.open(c, args[0])
			if err != nil {
				return err
			}
			b, err := source.open(c, args[1])
			if err != nil {
				return err
			}
			err = interruptible(c.Context(), func() error {
				d := report.Compare(a.Recording, b.Recording, a.Name, b.Name, order, callers)
				if asJSON {
					return printJSON(c.OutOrStdout(), d)
				}
				return printing(report.RenderComparison(screen(c), d))
			})
			if err != nil {
				return err
			}
			return partial(a, b)
		}),
	}
	source.add(c)
	c.Flags().StringVar(&by, "by", by, "order the code by how its `value` grew: touched, stall, or change for the one of them that differs more in all")
	c.Flags().IntVar(&callers, "callers", callers, "callers to list")
	c.Flags().BoolVar(&asJSON, "json", false, "print the comparison as JSON")
	return c
}
