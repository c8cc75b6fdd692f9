package main

import (
	"errors"
	"fmt"

	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/spf13/cobra"
)

// errOver marks a comparison that was printed, of which a limit was not kept.
var errOver = errors.New("a limit of -fail-if was not kept")

// judged is the error of verdicts that were printed: one that failed goes before one that cannot be told.
func judged(list []report.Verdict) error {
	var err error
	for _, v := range list {
		switch {
		case v.Failed:
			return fmt.Errorf("%w: %w", errReported, errOver)
		case v.Unknown != "":
			err = fmt.Errorf("%w: %w", errReported, errPartial)
		}
	}
	return err
}

func newDiff() *cobra.Command {
	var source sourceFlags
	var asJSON bool
	var failIf []string
	by, callers := string(report.ByChange), 20
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two recordings: what only one touched, and the code that grew",
		Long: `diff compares the working sets of two recordings or live agents, region by region: what was touched in
A alone, in both, and in B alone. Regions belong together by their name, and files by the last element
of their path. Then it lists the code that touches more, or waits longer, in B than in A.

With -fail-if, which may be repeated, the exit status is 5 where B is over a limit, and 4 where that cannot be told: because records were
lost, or because of the standard error where a part of the memory was observed. A limit with + or - is of what B has more than A; without a
sign it is of B alone.

A and B are each a ` + sourceHelp[len("SOURCE is a "):],
		Example: `  firsttouch diff before.ftr after.ftr
  firsttouch diff -by stall monday.ftr :6060
  firsttouch diff -fail-if 'touched > +5%' -fail-if 'stall > 200ms' before.ftr after.ftr`,
		Args:              want("before.ftr after.ftr", "two recordings (files) or addresses of live agents", "a second recording, or the address of a live agent, to compare with"),
		ValidArgsFunction: recordingFiles,
		RunE: runningWith(func(c *cobra.Command, args []string) error {
			order := report.Order(by)
			if order != report.ByChange && order != report.ByTouched && order != report.ByStall {
				return fmt.Errorf("%w: -by %s: choose touched, stall or change", recordings.ErrUsage, by)
			}
			var limits []report.Limit
			for _, text := range failIf {
				l, err := report.FailIf(text)
				if err != nil {
					return fmt.Errorf("%w: -fail-if: %w", recordings.ErrUsage, err)
				}
				limits = append(limits, l)
			}
			a, err := source.open(c, args[0])
			if err != nil {
				return err
			}
			b, err := source.open(c, args[1])
			if err != nil {
				return err
			}
			var verdict error
			err = interruptible(c.Context(), func() error {
				d := report.Compare(a.Recording, b.Recording, a.Name, b.Name, order, callers)
				for _, l := range limits {
					d.Verdicts = append(d.Verdicts, l.Of(d))
				}
				verdict = judged(d.Verdicts)
				if asJSON {
					return printJSON(c.OutOrStdout(), d)
				}
				return printing(report.RenderComparison(screen(c), d))
			})
			if err != nil {
				return err
			}
			if err := partial(a, b); err != nil {
				return err // a part of a recording keeps limits that the whole does not
			}
			return verdict
		}),
	}
	source.add(c)
	c.Flags().StringVar(&by, "by", by, "order the code by how its `value` grew: touched, stall, or change for the one of them that differs more in all")
	c.Flags().IntVar(&callers, "callers", callers, "callers to list")
	c.Flags().StringArrayVar(&failIf, "fail-if", nil, "`limit` over which B fails, such as 'touched > +5%': touched, faults or stall, > or <, and a number")
	c.Flags().BoolVar(&asJSON, "json", false, "print the comparison as JSON")
	return c
}
