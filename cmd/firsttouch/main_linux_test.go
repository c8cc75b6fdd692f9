package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/demo"
	"github.com/firsttouch/firsttouch/internal/doctor"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
)

// asCommand makes the test binary the command, and so its children, too.
const asCommand = "COMMAND_TEST_MAIN"

// asPeak names a file, to which the command then writes its /proc/self/status at its end.
const asPeak = "COMMAND_TEST_PEAK"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		if to := os.Getenv(asPeak); to != "" {
			status := run()
			text, err := os.ReadFile("/proc/self/status")
			if err = errors.Join(err, os.WriteFile(to, text, 0o600)); err != nil {
				fmt.Fprintln(os.Stderr, err)
				status = -1
			}
			os.Exit(status)
		}
		main()
	}
	os.Exit(m.Run())
}

// result is what a run of the command left.
type result struct {
	out, diag string
	status    int
}

// command prepares a run of the command, in an empty directory.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, args...)
	c.Dir = t.TempDir()
	c.Env = append(os.Environ(), asCommand+"=1")
	return c
}

func runCommand(t *testing.T, args ...string) result {
	t.Helper()
	return wait(t, command(t, args...))
}

func wait(t *testing.T, c *exec.Cmd) result {
	t.Helper()
	var out, diag bytes.Buffer
	c.Stdout, c.Stderr = &out, &diag
	err := c.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return result{out.String(), diag.String(), c.ProcessState.ExitCode()}
}

// source is a small tree of Go files.
func source(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	text := "package p\n" + strings.Repeat("\nvar someName, other = 1, 2\n", 5000)
	for _, name := range []string{"a.go", "b.go"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCommandLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		diag   string // part of standard error
		out    string // part of standard output
	}{
		{"nothing", nil, 0, "", "Available Commands"},
		{"help with one dash", []string{"demo", "-help"}, 0, "", "--granule"},
		{"no such command", []string{"demos"}, 2, `unknown command "demos"`, ""},
		{"nearly a command", []string{"repot", "x"}, 2, "Did you mean this?\n\treport\n", ""},
		{"version", []string{"version"}, 0, "", "firsttouch "},
		{"the flag -version", []string{"-version"}, 0, "", runtime.Version() + " linux/" + runtime.GOARCH + ", Linux "},
		{"no such flag", []string{"demo", "-bogus"}, 2, "unknown flag: --bogus", ""},
		{"an argument too many", []string{"doctor", "now"}, 2, `unknown command "now"`, ""},
		{"not a number", []string{"demo", "-requests", "many"}, 2, "--requests", ""},
		{"no requests", []string{"demo", "-requests=0"}, 2, "-requests 0: choose", ""},
		{"a negative value", []string{"demo", "-concurrency", "-1"}, 2, "-concurrency -1: choose", ""},
		{"not a size", []string{"demo", "-granule", "64kb"}, 2, "KiB or MiB", ""},
		{"not a power of two", []string{"demo", "-granule", "12KiB"}, 2, "power of two", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := runCommand(t, tt.args...)
			if r.status != tt.status || !strings.Contains(r.diag, tt.diag) || !strings.Contains(r.out, tt.out) {
				t.Errorf("status %d\n%s\n%s\nwant %d, %q, %q", r.status, r.out, r.diag, tt.status, tt.out, tt.diag)
			}
		})
	}
}

func TestDemoErrors(t *testing.T) {
	uffdtest.Need(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		diag string
	}{
		{"-out is a file", []string{"-out", file}, "choose another directory with -out"},
		{"-cache is a file", []string{"-cache", file, "-source", source(t)}, "choose another with -cache"},
		{"-source is not there", []string{"-source", "absent"}, "name a directory of Go files with -source"},
		{"-source is empty", []string{"-source", t.TempDir()}, "no .go file below"},
		{"-listen is taken or not ours", []string{"-source", source(t), "-listen", "192.0.2.1:1"}, "choose another with -listen"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := runCommand(t, append([]string{"demo", "-cache", t.TempDir(), "-requests", "5"}, tt.args...)...)
			if r.status != exitFailed || !strings.Contains(r.diag, tt.diag) || r.out != "" {
				t.Errorf("status %d\n%s\n%s\nwant %d, nothing, %q", r.status, r.out, r.diag, exitFailed, tt.diag)
			}
		})
	}
}

func TestDemo(t *testing.T) {
	uffdtest.Need(t)
	cache, src := t.TempDir(), source(t)
	args := []string{"demo", "-cache", cache, "-source", src, "-requests=20", "--concurrency", "2", "-seed", "9"}
	c := command(t, args...)
	r := wait(t, c)
	if r.status != exitDone {
		t.Fatalf("status %d\n%s", r.status, r.diag)
	}
	// Each step has a line of its own where there is no terminal, and nothing else is written there.
	begun := strings.Split(strings.TrimSpace(r.diag), "\n")
	for _, line := range begun {
		if !strings.HasPrefix(line, "step ") {
			t.Errorf("standard error has %q", line)
		}
	}
	for n := 1; n <= 6; n++ {
		if !strings.Contains(r.diag, fmt.Sprintf("step %d of 6: ", n)) {
			t.Errorf("step %d of 6 is missing from\n%s", n, r.diag)
		}
	}
	for _, want := range []string{"Code that waited most", "Slowest requests", "Load: 20 requests of seed 9 by 2 clients", "never touched",
		"go tool pprof -top -sample_index=stall " + filepath.Join("firsttouch-demo", "profile.pb.gz")} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is missing from\n%s", want, r.out)
		}
	}
	top := exec.Command("go", "tool", "pprof", "-top", "-sample_index=stall", filepath.Join(c.Dir, "firsttouch-demo", "profile.pb.gz"))
	if text, err := top.CombinedOutput(); err != nil || !strings.Contains(string(text), "index.(*Index).") {
		t.Errorf("%v: %v\n%s", top, err, text)
	}

	r = runCommand(t, append(args, "-json")...)
	var sum demo.Summary
	if err := json.Unmarshal([]byte(r.out), &sum); err != nil || sum.Schema != demo.Schema || sum.Index.Built || sum.Load.Seed != 9 {
		t.Errorf("%v: %+v", err, sum)
	}
}

func TestInterruptedDemo(t *testing.T) {
	uffdtest.Need(t)
	c := command(t, "demo", "-cache", t.TempDir(), "-source", source(t), "-requests", "1000000")
	var diag bytes.Buffer
	c.Stderr = &diag
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// The directory of the results is the first thing that it makes.
	for {
		if _, err := os.Stat(filepath.Join(c.Dir, "firsttouch-demo")); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // the status is looked at
	if got := c.ProcessState.ExitCode(); got != exitInterrupted || strings.Contains(diag.String(), "firsttouch:") {
		t.Errorf("status %d, %q; want %d and no error", got, &diag, exitInterrupted)
	}
}

func TestFullStandardOutput(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	c := command(t, "doctor")
	var diag bytes.Buffer
	c.Stdout, c.Stderr = full, &diag
	_ = c.Run() // the status is looked at
	if c.ProcessState.ExitCode() != exitFailed || !strings.Contains(diag.String(), "printing the report: ") {
		t.Errorf("status %d, %q", c.ProcessState.ExitCode(), &diag)
	}
}

func TestDoctor(t *testing.T) {
	r := runCommand(t, "doctor", "-json")
	var report doctor.Report
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatal(err)
	}
	want := exitDone
	if !report.Works {
		want = exitUnsupported
	}
	if r.status != want || r.diag != "" || report.Verdict == "" || len(report.Kernel.Paths) != 3 {
		t.Errorf("status %d, %q, %+v", r.status, r.diag, report)
	}
	if r := runCommand(t, "doctor"); !strings.HasPrefix(r.out, report.Verdict) {
		t.Errorf("the table begins with %.80q, want the verdict %q", r.out, report.Verdict)
	}
}
