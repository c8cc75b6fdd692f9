package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/firsttouch/firsttouch/internal/demo"
	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/spf13/cobra"
)

// The exit statuses, see doc.go.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnsupported = 3
	exitPartial     = 4
	exitOver        = 5
	exitInterrupted = 130
)

func main() { os.Exit(run()) }

// run is the command until its exit status is known.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Who interrupts twice does not want to wait.
	context.AfterFunc(ctx, stop)
	// What is read is bounded by the size of the recording, and garbage counts.
	debug.SetGCPercent(50)
	defer stop()
	return execute(ctx, os.Args[1:])
}

// execute runs the command line and returns the exit status.
func execute(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(doubleDashes(root, args))
	root.SetOut(plain.Writer(os.Stdout))
	root.SetErr(plain.Writer(os.Stderr))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	status := statusOf(err)
	if status != exitInterrupted && !errors.Is(err, errReported) {
		text := plain.Writer(os.Stderr)
		if _, failed := errors.AsType[failure](err); failed {
			// Errors that were joined have line ends, and names in them may have: so it is one line.
			fmt.Fprintln(text, "firsttouch:", plain.Line(strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")))
		} else {
			fmt.Fprintln(text, "firsttouch:", strings.TrimSpace(err.Error()))
		}
	}
	if status == exitUsage {
		fmt.Fprintln(os.Stderr, "firsttouch -help lists the commands, firsttouch COMMAND -help its flags")
	}
	return status
}

// errReported marks an error whose text the user has seen in another form.
var errReported = errors.New("reported")

// failure is what a command's own work returned. Every other error is cobra's, about the command line.
type failure struct{ err error }

func (f failure) Error() string { return f.err.Error() }
func (f failure) Unwrap() error { return f.err }

// running is runningWith for a command without arguments.
func running(run func(*cobra.Command) error) func(*cobra.Command, []string) error {
	return runningWith(func(c *cobra.Command, _ []string) error { return run(c) })
}

// runningWith keeps the errors of a command apart from those of its command line.
func runningWith(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if err := run(c, args); err != nil {
			return failure{err}
		}
		return nil
	}
}

func statusOf(err error) int {
	_, failed := errors.AsType[failure](err)
	switch {
	case !failed, errors.Is(err, demo.ErrUsage), errors.Is(err, recordings.ErrUsage):
		return exitUsage
	case errors.Is(err, profiler.ErrNotSupported):
		return exitUnsupported
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, errOver):
		return exitOver
	case errors.Is(err, errPartial):
		return exitPartial
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "firsttouch",
		Short: "See which code touches which memory first, and how long it waits",
		Long: `firsttouch shows which code of a service touches which memory first, and how long it
waits for it: for memory-mapped databases, caches and arenas.

Exit status: 0 done; 1 something failed; 2 a command line that cannot be used;
3 the kernel, the user or the container does not allow the profiler to run; 4 done, with the part of a
recording that could be read, or a limit of diff -fail-if of which nobody can tell whether it was kept; 5 a limit of
diff -fail-if was not kept; 130 interrupted.`,
		Version:           version(),
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.AddCommand(newDoctor(), newTrial(), newDemo(), newService(), newReport(), newDiff(), newPprof(), newHeatmap(), newConvert(), newTop(), newServe(), newPrefetch(), newAdvise(), newDump(), newOff(), newVersion())
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	return root
}
