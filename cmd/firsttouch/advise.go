package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newAdvise() *cobra.Command {
	var from, to string
	var seconds int
	var yes bool
	c := &cobra.Command{
		Use:   "advise ADDRESS REGION ADVICE",
		Short: "Give the kernel advice about memory of a live agent, and show what changes",
		Long: `advise has a live agent call madvise(2) on a region, or a part of it. It records some seconds before and after, and compares them.
The agent takes advice only where it was started with FIRSTTOUCH_ADVICE=true. ADDRESS is host:port, :port for this machine, or a URL.
REGION is a name as firsttouch report shows it, or the end of its path.

ADVICE is one of
  random       read only what is touched
  sequential   read far ahead
  normal       take both back
  willneed     read it into the page cache now
  cold         take it first when memory is short
  pageout      take it out of memory now
  collapse     make huge pages; only where nothing is armed

It changes the process until other advice is given, so it asks before. Where the standard input is no terminal, -yes is needed.`,
		Example: `  firsttouch advise :6060 index.db random
  firsttouch advise -seconds 30 -from 0 -to 64MiB -yes host:6060 index.db willneed`,
		Args: want(":6060 index.db random", "the address of a live agent: host:port, :port for this machine, or a URL", "the name of a region", "the advice: random, sequential, normal, willneed, cold, pageout or collapse"),
		RunE: runningWith(func(c *cobra.Command, args []string) error {
			if seconds < 0 || seconds > 300 {
				return fmt.Errorf("%w: -seconds %d: choose 1 to 300, or 0 to compare nothing", recordings.ErrUsage, seconds)
			}
			query := url.Values{"region": {args[1]}, "advice": {args[2]}, "from": {from}, "to": {to}, "confirm": {"true"}}
			if err := confirm(c, yes, fmt.Sprintf("Give the advice %s for %s of %s?", args[2], args[1], args[0])); err != nil {
				return err
			}
			give := func() error {
				body, err := recordings.Post(c.Context(), args[0], "advise?"+query.Encode())
				return printAnswer(c, body, err)
			}
			if seconds == 0 {
				return give()
			}
			return adviseBetween(c, args[0], seconds, give)
		}),
	}
	c.Flags().StringVar(&from, "from", "", "first `offset` in the region, in bytes, such as 4096 or 2MiB (default its start)")
	c.Flags().StringVar(&to, "to", "", "`offset` behind the last one (default its end)")
	c.Flags().IntVar(&seconds, "seconds", 10, "`seconds` to record before and after, 0 to compare nothing")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// adviseBetween records before and after, and compares.
func adviseBetween(c *cobra.Command, address string, seconds int, give func() error) error {
	source := sourceFlags{seconds: seconds}
	before, err := source.open(c, address)
	if err != nil {
		return err
	}
	if err := give(); err != nil {
		return err
	}
	after, err := source.open(c, address)
	if err != nil {
		return err
	}
	err = interruptible(c.Context(), func() error {
		d := report.Compare(before.Recording, after.Recording, "before the advice", "after it", report.ByChange, adviseCallers)
		return printing(report.RenderComparison(screen(c), d))
	})
	if err != nil {
		return err
	}
	return partial(before, after)
}

// adviseCallers is how many places of the code are compared.
const adviseCallers = 10

// confirm asks the user, unless yes is set.
func confirm(c *cobra.Command, yes bool, question string) error {
	if yes {
		return nil
	}
	if f, ok := c.InOrStdin().(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return fmt.Errorf("%w: it changes a running process, and nobody can be asked here: add -yes", recordings.ErrUsage)
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s [y/N] ", question)
	line, err := bufio.NewReader(c.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return errors.New("nothing was advised")
	}
	return nil
}
