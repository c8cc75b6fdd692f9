package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/internal/prefetch"
	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/firsttouch/firsttouch/internal/touchorder"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newPrefetch() *cobra.Command {
	var source sourceFlags
	var o touchorder.Options
	var out string
	var need, bandwidth, memory int
	var asJSON bool
	c := &cobra.Command{
		Use:   "prefetch SOURCE... -out ORDER | prefetch ORDER",
		Short: "Read what a service touches first into the page cache, before it starts",
		Long: `prefetch with -out writes an order file: which parts of which files the recorded service touched first, in that
order, and how long it waited for each. Of several recordings it keeps what more than half of them touched. Write it where the
files are, so that it can be told later whether they have changed.

prefetch without -out reads all that into the page cache. It needs neither the service nor any privilege but to read the files, and ends
when all is there: run it before the service, as an init container or as ExecStartPre=-. A file that has changed since is left out,
and so is what lies outside of -under. What is left out is named, and the exit status is then 4.

The next recording says what it saved: firsttouch report -order ORDER next.ftr

` + sourceHelp,
		Example: `  firsttouch prefetch firsttouch-demo/recording.ftr -out app.touch
  firsttouch prefetch app.touch
  firsttouch prefetch -under /var/lib/app -bandwidth 200MiB app.touch`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("prefetch wants an order file to read ahead, for example: firsttouch prefetch app.touch; to write one: firsttouch prefetch firsttouch-demo/recording.ftr -out app.touch")
			}
			return nil
		},
		RunE: runningWith(func(c *cobra.Command, args []string) error {
			if out != "" {
				return source.writeOrder(c, args, need, out)
			}
			if len(args) > 1 {
				return fmt.Errorf("%w: %d order files: name one, or write one of several recordings with -out", recordings.ErrUsage, len(args))
			}
			o.Bandwidth, o.Memory = int64(bandwidth), float64(memory)/100
			if memory < 1 || memory > 100 {
				return fmt.Errorf("%w: -memory %d: choose 1 to 100, in percent", recordings.ErrUsage, memory)
			}
			return readAhead(c, args[0], o, asJSON)
		}),
	}
	source.add(c)
	f := c.Flags()
	f.StringVarP(&out, "out", "o", "", "`file` to write the order to, '-' for the standard output")
	f.IntVar(&need, "need", 0, "with -out: keep what so many of the `recordings` touched (default more than half)")
	f.StringArrayVar(&o.Under, "under", nil, "read files below this `directory` only; may be given again (default any file)")
	f.Var(bytesValue{&bandwidth}, "bandwidth", "`bytes` a second that are read at most, such as 200MiB (default no bound)")
	f.IntVar(&memory, "memory", int(100*touchorder.DefaultMemory), "`percent` of the free memory that may be filled")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return c
}

// writeOrder makes an order of one recording, or of what several agree on.
func (f *sourceFlags) writeOrder(c *cobra.Command, names []string, need int, out string) error {
	if need < 0 || need > len(names) {
		return fmt.Errorf("%w: -need %d of %d recordings: choose 1 to %d", recordings.ErrUsage, need, len(names), len(names))
	}
	var made []prefetch.Made
	var opened []*recordings.Opened
	for _, name := range names {
		r, err := f.open(c, name)
		if err != nil {
			return err
		}
		opened = append(opened, r)
		made = append(made, prefetch.OrderOf(r.Snapshot, plain.Line(name)))
	}
	order := made[0].Order
	if len(made) > 1 {
		var starts []*touchorder.Order
		for _, m := range made {
			starts = append(starts, m.Order)
		}
		order = touchorder.Agreed(starts, need)
		order.From = plain.Line(strings.Join(names, ", "))
	}
	failed := order.Identify()
	if len(order.Files) == 0 {
		return fmt.Errorf("%s: no first touch of a file is in it that could be read ahead%s", strings.Join(names, ", "), leftOut(made))
	}
	var text bytes.Buffer
	if err := order.Write(&text); err != nil {
		return err
	}
	if err := toFile(c, out, false, func(w io.Writer) error { _, err := text.WriteTo(w); return err }); err != nil {
		return err
	}
	to := c.ErrOrStderr()
	say := func(format string, args ...any) { fmt.Fprintln(to, plain.Line(fmt.Sprintf(format, args...))) }
	say("%s", report.Expected(order))
	for _, path := range slices.Sorted(maps.Keys(failed)) {
		say("%s could not be looked at, so that it cannot be told later whether it has changed: %v", path, failed[path])
	}
	for i, m := range made {
		for _, name := range slices.Sorted(maps.Keys(m.LeftOut)) {
			say("%s: region %s is left out: %s", names[i], name, m.LeftOut[name])
		}
		if m.Unordered > 0 {
			say("%s: of %s it is not known when they were touched and what they save: they come last", names[i], summary.Bytes(m.Unordered))
		}
	}
	return partial(opened...)
}

func leftOut(made []prefetch.Made) string {
	var text strings.Builder
	for _, m := range made {
		for _, name := range slices.Sorted(maps.Keys(m.LeftOut)) {
			fmt.Fprintf(&text, "; region %s: %s", name, m.LeftOut[name])
		}
	}
	return text.String()
}

// readOrder reads an order file.
func readOrder(name string) (*touchorder.Order, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: name an order file, or write one with firsttouch prefetch RECORDING -out FILE", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file: name an order file", name)
	}
	order, err := touchorder.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return order, nil
}

// readAhead reads the ranges of an order file.
func readAhead(c *cobra.Command, name string, o touchorder.Options, asJSON bool) error {
	order, err := readOrder(name)
	if err != nil {
		return err
	}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		p := newProgress(os.Stderr)
		defer p.finish()
		o.Progress = func(done, total int64) { p.report("reading ahead", done, total) }
	}
	result, err := order.Run(c.Context(), o)
	if errors.Is(err, context.Canceled) && result.Done == 0 {
		return err
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	if asJSON {
		err = errors.Join(err, printJSON(c.OutOrStdout(), result))
	} else {
		err = errors.Join(err, printing(report.RenderPrefetched(screen(c), result)))
	}
	if err == nil && result.Skipped() > 0 {
		return fmt.Errorf("%w: %w", errReported, errPartial)
	}
	return err
}
