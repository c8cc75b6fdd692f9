//go:build linux && (amd64 || arm64)

package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// childEnv makes this program touch plain memory and report the time, under perf.
const childEnv = "FIRSTTOUCH_BENCH_TOUCH"

// Child serves a process that a benchmark started. A program that calls Report, or runs the
// benchmarks, calls it first; it returns when there is nothing to serve.
func Child() {
	spec := os.Getenv(childEnv)
	if spec == "" {
		return
	}
	var l load
	_, err := fmt.Sscan(spec, &l.write, &l.pages, &l.stride, &l.goroutines)
	if err == nil {
		var res result
		if res, err = kernelArena(nil, l); err == nil {
			fmt.Printf("%f\n", res.perPage)
			os.Exit(0)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// perfRecord is the command line that perf's own documentation gives for page faults with their
// addresses and callers.
func perfRecord(perf, data string, command ...string) *exec.Cmd {
	args := []string{"record", "-e", "page-faults", "-c", "1", "-d", "-g", "-o", data, "--"}
	return exec.Command(perf, append(args, command...)...)
}

// findPerf returns the path of perf, or why it cannot be used.
func findPerf(dir string) (path, skip string) {
	path, err := exec.LookPath("perf")
	if err != nil {
		return "", "no perf in PATH"
	}
	data := filepath.Join(dir, "probe.data")
	if out, err := perfRecord(path, data, "true").CombinedOutput(); err != nil {
		return "", fmt.Sprintf("perf record: %v: %.200s", err, out)
	}
	return path, ""
}

var perfSamples = regexp.MustCompile(`\((\d+) samples\)`)

// perfArena is kernelArena in a child process under perf.
func perfArena(r *rig, l load) (result, error) {
	if r.perf == "" {
		return result{skip: r.perfSkip}, nil
	}
	self, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	cmd := perfRecord(r.perf, filepath.Join(r.dir, "perf.data"), self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%t %d %d %d", childEnv, l.write, l.pages, l.stride, l.goroutines))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("perf record: %w: %s", err, stderr.Bytes())
	}
	m := perfSamples.FindSubmatch(stderr.Bytes())
	if m == nil {
		return result{}, fmt.Errorf("perf record did not say how much it recorded: %s", stderr.Bytes())
	}
	if n, _ := strconv.Atoi(string(m[1])); n < l.pages {
		return result{skip: fmt.Sprintf("perf recorded only %d of %d faults", n, l.pages)}, nil
	}
	var perPage float64
	if _, err := fmt.Sscan(string(out), &perPage); err != nil {
		return result{}, fmt.Errorf("child under perf answered %q: %w", out, err)
	}
	return result{perPage: perPage}, nil
}
