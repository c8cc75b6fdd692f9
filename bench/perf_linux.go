//go:build linux && (amd64 || arm64)

package bench

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

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
	t := task{Cell: cell{memoryArena, "sequential", l.goroutines, pageSize, l.pages}, Simple: true}
	if !l.write {
		t.Cell.Memory = memoryZero
	}
	a, _, stderr, err := t.start(func(self string) *exec.Cmd { return perfRecord(r.perf, filepath.Join(r.dir, "perf.data"), self) })
	if err != nil {
		return result{}, fmt.Errorf("perf record: %w", err)
	}
	m := perfSamples.FindSubmatch(stderr)
	if m == nil {
		return result{}, fmt.Errorf("perf record did not say how much it recorded: %s", stderr)
	}
	made := l.pages
	if l.write {
		made *= 2 // see touchFresh
	}
	if n, _ := strconv.Atoi(string(m[1])); n < made {
		return result{skip: fmt.Sprintf("perf recorded only %d of %d faults", n, made)}, nil
	}
	return result{perPage: a.PerPage}, nil
}
