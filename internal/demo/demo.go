package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

type demo struct {
	Options
	out      string // absolute
	database string
	names    []string // of identifiers, most frequent first
	paths    []string
	steps    steps
}

// Execute runs the demo. It returns when all is printed and written, or, with Serve, when ctx ends.
// The error matches profiler.ErrNotSupported where the system refuses every way to observe, and ErrUsage for an option.
func Execute(ctx context.Context, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := allowed(); err != nil {
		return err
	}
	d := &demo{Options: o, steps: newSteps(&o)}
	var err error
	if d.out, err = filepath.Abs(o.Out); err != nil {
		return outputError(o.Out, err)
	}
	if err := prepareOut(d.out); err != nil {
		return err
	}
	sum := Summary{Schema: Schema}
	if sum.Index, err = d.prepareIndex(ctx); err != nil {
		return err
	}
	sum.Load = Load{Requests: o.Requests, Concurrency: o.Concurrency, Seed: o.Seed}
	without, c, _, err := d.runService(ctx, false)
	if err != nil {
		return fmt.Errorf("without the profiler: %w", err)
	}
	if err := c.stop(); err != nil {
		return fmt.Errorf("without the profiler: %w", err)
	}
	with, c, address, err := d.runService(ctx, true)
	if err != nil {
		return err
	}
	defer c.stop() // for the errors below; on the way that succeeds it was called
	d.steps.next("profiles, traces and the recording", roughly(0))
	var finish FinishReply
	if err := c.call(ctx, "Finish", &struct{}{}, &finish); err != nil {
		return err
	}
	sum.Without, sum.With = without, with
	sum.complete(finish)
	if d.Prefetch && finish.Failed == "" {
		// While a process has pages of the database mapped they stay in the page cache.
		if err := c.stop(); err != nil {
			return err
		}
		if sum.Prefetch, err = d.drivePrefetched(ctx); err != nil {
			return fmt.Errorf("prefetch: %w", err)
		}
		sum.Files = append(sum.Files, fileOrder)
	}
	if err := d.publish(sum, finish.Failed); err != nil {
		return err
	}
	if !sum.SameAnswers {
		return errors.New("the service did not answer every request, or not as it does without the profiler: see the notes of the result")
	}
	if o.Serve {
		if err := d.serve(ctx, address); err != nil {
			return err
		}
	}
	return c.stop()
}

// publish writes the summary to its file and to the standard output.
func (d *demo) publish(sum Summary, failed string) error {
	if failed != "" {
		return errors.New(failed)
	}
	encode := func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(sum)
	}
	if err := writeFile(d.out, fileSummary, encode); err != nil {
		return err
	}
	print := func(w io.Writer) error { return Render(w, sum, d.Out, d.command()) }
	if d.JSON {
		print = encode
	}
	if d.BeforeOutput != nil {
		d.BeforeOutput()
	}
	if err := print(d.Stdout); err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	return nil
}

// announce says where the live page is as soon as it is there.
func (d *demo) announce(address string) error {
	to := d.Stdout
	if d.JSON {
		to = d.Stderr
	}
	if d.BeforeOutput != nil {
		d.BeforeOutput()
	}
	if _, err := fmt.Fprintf(to, "Live page: %s\n\n", livePage(address)); err != nil {
		return fmt.Errorf("printing the address: %w", err)
	}
	return nil
}

func livePage(address string) string { return "http://" + address + "/debug/firsttouch/live" }

// serve keeps the service up until ctx ends.
func (d *demo) serve(ctx context.Context, address string) error {
	to := d.Stdout
	if d.JSON {
		to = d.Stderr
	}
	_, err := fmt.Fprintf(to, "Serving until interrupted\n  %s     what the profiler sees, live\n"+
		"  http://%s/debug/firsttouch/         the same in tables\n"+
		"  http://%s/identifiers/Reader        a search\n"+
		"  http://%s/metrics                   metrics for Prometheus\n\n", livePage(address), address, address, address)
	if err != nil {
		return fmt.Errorf("printing the address: %w", err)
	}
	<-ctx.Done()
	return nil
}
