package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// sourceHelp explains the argument that the commands on recordings share.
const sourceHelp = `SOURCE is a recording, '-' for one on the standard input, or a live agent: host:port, :port for this
machine, or a URL. With -seconds a live agent records what is touched in the next seconds, whatever
was touched before.`

// sourceFlags are those of the commands that read a recording.
type sourceFlags struct{ seconds int }

func (f *sourceFlags) add(c *cobra.Command) {
	c.Flags().SortFlags = false
	c.Flags().IntVar(&f.seconds, "seconds", 0, "of a live agent: record the next `seconds`, 1 to 300 (default all since its start)")
}

// errPartial marks the result of a recording that is cut off: it was printed, and is not all.
var errPartial = errors.New("a part of the recording only")

// read opens a recording, does what is to be done with it, and then says whether it was all.
func (f *sourceFlags) read(c *cobra.Command, name string, use func(*recordings.Opened) error) error {
	r, err := f.open(c, name)
	if err != nil {
		return err
	}
	if err := interruptible(c.Context(), func() error { return use(r) }); err != nil {
		return err
	}
	return partial(r)
}

// endingMost is how long what was interrupted may take to clean up.
const endingMost = 2 * time.Second

// interruptible does what may take long with a large recording, and does not look at ctx: after its end it waits
// for endingMost, in which writing fails, and then gives up, since the command ends.
func interruptible(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(endingMost):
		return ctx.Err()
	}
}

func (f *sourceFlags) open(c *cobra.Command, name string) (*recordings.Opened, error) {
	if f.seconds < 0 || f.seconds > 300 {
		return nil, fmt.Errorf("%w: -seconds %d: choose 1 to 300, or nothing", recordings.ErrUsage, f.seconds)
	}
	o := recordings.Options{Stdin: c.InOrStdin(), Seconds: f.seconds}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		p := newProgress(os.Stderr)
		defer p.finish()
		o.Progress = func(done, total int64) { p.report("reading "+name, done, total) }
	}
	r, err := recordings.Open(c.Context(), name, o)
	if err == nil && r.Cut != "" {
		fmt.Fprintln(c.ErrOrStderr(), "firsttouch:", plain.Line(r.Cut))
	}
	return r, err
}

// partial is the error of a result that was printed and is not of all, or nil.
func partial(list ...*recordings.Opened) error {
	for _, r := range list {
		if r.Cut != "" {
			return fmt.Errorf("%w: %w", errReported, errPartial)
		}
	}
	return nil
}

// recordingFiles completes the names of recordings.
func recordingFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"ftr"}, cobra.ShellCompDirectiveFilterFileExt
}

// printAnswer prints what an agent has answered to a request.
func printAnswer(c *cobra.Command, body io.ReadCloser, err error) error {
	if err != nil {
		return err
	}
	_, err = io.Copy(c.OutOrStdout(), body)
	return errors.Join(err, body.Close())
}
