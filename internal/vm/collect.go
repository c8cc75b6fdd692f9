package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/firsttouch/firsttouch/internal/vm/wire"
)

// result is what came of one machine, as it is kept in the cache.
type result struct {
	Name, Commit string
	Accel        string
	Machine      wire.Machine
	Doctor       string // its verdict
	Features     []feature
	Steps        []stepResult
	Tests        testResult
	Conformance  []cell
}

type feature struct {
	Name      string `json:"name"`
	Available string `json:"available"`
}

type stepResult struct {
	Name string
	wire.End
}

// testResult is what internal/testlog writes.
type testResult struct {
	Passed  int
	Failed  []string
	Skipped []skipped
}

type skipped struct {
	Test, Reason string
	Planned      bool
}

// collector makes a result of a guest's frames.
type collector struct {
	ctx    context.Context
	dir    string
	events *os.File // of test2json, for all steps
	result result
	step   string
	output bytes.Buffer // of the step
	log    *os.File     // the same, for those who want to look
}

func newCollector(ctx context.Context, m machine, dir string) (*collector, error) {
	events, err := os.Create(filepath.Join(dir, "events"))
	return &collector{ctx: ctx, dir: dir, events: events, result: result{Name: m.name}}, err
}

// testMark is what a test binary prints for test2json, see -test.v in testing.
const testMark = 0x16

func (c *collector) frame(f wire.Frame) error {
	switch {
	case f.Machine != nil:
		c.result.Machine = *f.Machine
		fmt.Printf("%s: Linux %s %s, pages of %d bytes, %d processors\n", c.result.Name, f.Machine.Release,
			f.Machine.Arch, f.Machine.PageSizeBytes, f.Machine.CPUs)
	case f.Begin != "":
		c.step = f.Begin
		c.output.Reset()
		var err error
		c.log, err = os.Create(filepath.Join(c.dir, strings.ReplaceAll(c.step, "/", "-")+".log"))
		return err
	case f.Output != nil:
		c.output.Write(f.Output)
		_, err := c.log.Write(bytes.ReplaceAll(f.Output, []byte{testMark}, nil))
		return err
	case f.End != nil:
		fmt.Printf("%s: %s: %s, %.0f s\n", c.result.Name, c.step, f.End.Status, f.End.Took.Seconds())
		c.result.Steps = append(c.result.Steps, stepResult{c.step, *f.End})
		if err := c.log.Close(); err != nil {
			return err
		}
		if c.step == doctor {
			return c.readDoctor()
		}
		return c.readTests()
	}
	return nil
}

// readDoctor keeps the verdict, and what the kernel's userfaultfd offers.
func (c *collector) readDoctor() error {
	var report struct {
		Verdict string `json:"verdict"`
		Kernel  struct {
			Features []feature `json:"features"`
		} `json:"kernel"`
	}
	if err := json.NewDecoder(&c.output).Decode(&report); err != nil {
		return fmt.Errorf("the doctor's report: %w", err)
	}
	c.result.Doctor, c.result.Features = report.Verdict, report.Kernel.Features
	return nil
}

// readTests turns what a test binary printed into events.
func (c *collector) readTests() error {
	if cells := conformance(c.output.String()); cells != nil {
		c.result.Conformance = cells
	}
	convert := exec.CommandContext(c.ctx, "go", "tool", "test2json", "-p", c.step)
	convert.Stdin = &c.output
	events, err := output(convert)
	if err != nil {
		return err
	}
	_, err = c.events.Write(events)
	return err
}

// summary has .ci/testlog.go count, and print failures, as in CI.
func (c *collector) summary() error {
	if _, err := c.events.Seek(0, io.SeekStart); err != nil {
		return err
	}
	defer c.events.Close()
	path := filepath.Join(c.dir, "summary")
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	args := []string{"run", "./internal/testlog", "-json", path, "-skips", ".ci/skips.txt", "-skips", ".ci/vm-skips.txt"}
	if own := ".ci/vm-skips-" + c.result.Name + ".txt"; exists(own) { // what this kernel lacks
		args = append(args, "-skips", own)
	}
	count := exec.CommandContext(c.ctx, "go", args...)
	count.Stdin, count.Stdout, count.Stderr = c.events, os.Stdout, os.Stderr
	runErr := count.Run()
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("counting the tests: %w, %w", runErr, err)
	}
	return json.Unmarshal(text, &c.result.Tests)
}

// problems are what keeps the machine from having passed.
func (r *result) problems() (list []string) {
	for _, s := range r.Steps {
		// The doctor has a status of its own for a kernel on which the profiler does not run.
		if !s.OK && (s.Name != doctor || s.Status != "exit status 3") {
			list = append(list, s.Name+": "+s.Status)
		}
		if s.TimedOut {
			list = append(list, s.Name+" was over its budget")
		}
	}
	for _, f := range r.Tests.Failed {
		list = append(list, f+" failed")
	}
	for _, s := range r.Tests.Skipped {
		if !s.Planned {
			list = append(list, s.Test+" skipped without being on the list")
		}
	}
	return slices.Compact(list)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
