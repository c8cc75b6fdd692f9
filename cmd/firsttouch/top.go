package main

import (
	"fmt"
	"os"
	"time"

	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/firsttouch/firsttouch/internal/top"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newTop() *cobra.Command {
	o := top.Options{}
	c := &cobra.Command{
		Use:   "top ADDRESS",
		Short: "Watch a live agent: regions and code that waits, again and again",
		Long: `top shows the regions and the code that waited most since the last look, until it is interrupted. ADDRESS
is that of a live agent: host:port, :port for this machine, or a URL. Where the standard output is no
terminal, the looks stand one below the other.`,
		Example: `  firsttouch top :6060
  firsttouch top -times 3 -every 10s host:6060`,
		Args: want(":6060", "the address of a live agent: host:port, :port for this machine, or a URL"),
		RunE: runningWith(func(c *cobra.Command, args []string) error {
			if o.Every < 100*time.Millisecond || o.Times < 0 {
				return fmt.Errorf("%w: -every %v -times %d: choose 100ms or more, and 0 times or more", recordings.ErrUsage, o.Every, o.Times)
			}
			o.Agent, o.Out = args[0], plain.Raw(c.OutOrStdout()) // which has its own control sequences
			if fd := int(os.Stdout.Fd()); term.IsTerminal(fd) {
				o.Screen = func() (columns, rows int) {
					columns, rows, err := term.GetSize(fd)
					if err != nil {
						return 80, 24
					}
					return columns, rows
				}
			}
			return top.Run(c.Context(), o)
		}),
	}
	c.Flags().DurationVar(&o.Every, "every", time.Second, "`time` between two looks")
	c.Flags().IntVar(&o.Times, "times", 0, "looks before it ends (default until interrupted)")
	return c
}
