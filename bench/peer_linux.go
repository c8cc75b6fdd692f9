//go:build linux && (amd64 || arm64)

package bench

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

//go:embed peer/resolver.c
var peerSource []byte

// buildPeer compiles the C yardstick and returns its path, or why there is none.
func buildPeer(dir string) (path, skip string) {
	cc, err := exec.LookPath("gcc")
	if err != nil {
		return "", "no gcc in PATH"
	}
	source := filepath.Join(dir, "resolver.c")
	if err := os.WriteFile(source, peerSource, 0o600); err != nil {
		return "", err.Error()
	}
	path = filepath.Join(dir, "resolver")
	if out, err := exec.Command(cc, "-O2", "-pthread", "-o", path, source).CombinedOutput(); err != nil {
		return "", fmt.Sprintf("gcc: %v: %s", err, out)
	}
	return path, ""
}

// peer runs the C loop as a process of its own: with toucher and resolver on one CPU, or left to
// the scheduler.
func peer(pinned bool) func(*rig, load) (result, error) {
	return func(r *rig, l load) (result, error) {
		if r.peer == "" {
			return result{skip: r.peerSkip}, nil
		}
		access, cpu := "read", -1
		if l.write {
			access = "write"
		}
		if pinned {
			var err error
			if cpu, err = allowedCPU(); err != nil {
				return result{}, err
			}
		}
		out, err := exec.Command(r.peer, access, strconv.Itoa(l.pages), strconv.Itoa(l.goroutines), strconv.Itoa(cpu)).Output()
		var failed *exec.ExitError
		if errors.As(err, &failed) && strings.HasPrefix(string(failed.Stderr), "userfaultfd") {
			return result{skip: strings.TrimSpace(string(failed.Stderr))}, nil
		}
		if err != nil {
			return result{}, fmt.Errorf("the C loop: %w", err)
		}
		var ns, messages int
		if _, err := fmt.Sscan(string(out), &ns, &messages); err != nil {
			return result{}, fmt.Errorf("the C loop answered %q: %w", out, err)
		}
		if messages < l.pages {
			return result{}, fmt.Errorf("the C loop saw %d of %d faults", messages, l.pages)
		}
		return result{perPage: float64(ns) / float64(l.pages)}, nil
	}
}

// allowedCPU is the first CPU that this process may run on.
func allowedCPU() (int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 0, fmt.Errorf("sched_getaffinity: %w", err)
	}
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			return cpu, nil
		}
	}
	return 0, errors.New("sched_getaffinity: no CPU")
}
