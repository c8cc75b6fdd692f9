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
var resolverSource []byte

//go:embed peer/overlay.c
var overlaySource []byte

// buildPeer returns where runPeer finds the C yardstick, which it compiles when it first does, or why there is none.
func buildPeer(dir string) (path, skip string) {
	if _, err := exec.LookPath("gcc"); err != nil {
		return "", "no gcc in PATH"
	}
	return filepath.Join(dir, "resolver"), ""
}

// compilePeer compiles a C yardstick if that has not been done yet.
func compilePeer(path string, text []byte) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	source := path + ".c"
	if err := os.WriteFile(source, text, 0o600); err != nil {
		return err
	}
	if out, err := exec.Command("gcc", "-O2", "-pthread", "-o", path, source).CombinedOutput(); err != nil {
		return fmt.Errorf("gcc: %w: %s", err, out)
	}
	return nil
}

// placement is how the yardstick resolves faults.
type placement int

const (
	oneCPU   placement = iota // a thread on the toucher's CPU
	anyCPU                    // a thread that is left to the scheduler
	bySIGBUS                  // the toucher itself, in a signal handler
)

// peer runs the C yardstick as a process of its own. One fault fills so many pages.
func peer(where placement, granulePages int) func(*rig, load) (result, error) {
	return func(r *rig, l load) (result, error) {
		if r.peer == "" {
			return result{skip: r.peerSkip}, nil
		}
		out, skip, err := runPeer(r.peer, where, l, "ascending", granulePages, "untimed")
		if err != nil || skip != "" {
			return result{skip: skip}, err
		}
		if faults := l.pages / granulePages; out.messages < faults {
			return result{}, fmt.Errorf("the C loop saw %d of %d faults", out.messages, faults)
		}
		return result{perPage: float64(out.wall) / float64(l.pages)}, nil
	}
}

// peerOutput is what the C loop prints.
type peerOutput struct {
	wall     int // ns from the first touch to the last
	messages int
	cpu      int   // ns of processor time
	took     []int // ns of each touch that was the first of its granule, if timed
}

// runPeer runs the C loop, or says in skip why it cannot run here. One fault fills so many pages.
func runPeer(path string, where placement, l load, order string, granulePages int, timed string) (out peerOutput, skip string, err error) {
	if err := compilePeer(path, resolverSource); err != nil {
		return out, "", err
	}
	access, cpu := "read", -int(where)
	if l.write {
		access = "write"
	}
	if where == oneCPU {
		if cpu, err = allowedCPU(); err != nil {
			return out, "", err
		}
	}
	out, err = output(exec.Command(path, access, strconv.Itoa(l.pages), strconv.Itoa(l.goroutines), strconv.Itoa(cpu),
		strconv.Itoa(l.stride), order, strconv.Itoa(granulePages), timed))
	var failed *exec.ExitError
	if errors.As(err, &failed) && strings.HasPrefix(string(failed.Stderr), "userfaultfd") {
		return out, strings.TrimSpace(string(failed.Stderr)), nil
	}
	return out, "", err
}

// output runs a yardstick and reads what it prints.
func output(c *exec.Cmd) (out peerOutput, err error) {
	text, err := c.Output()
	if err != nil {
		return out, fmt.Errorf("%s: %w", c.Path, err)
	}
	var numbers []int
	for _, f := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(f)
		if err != nil {
			return out, fmt.Errorf("%s answered %q: %w", c.Path, text, err)
		}
		numbers = append(numbers, n)
	}
	if len(numbers) < 3 {
		return out, fmt.Errorf("%s answered %q", c.Path, text)
	}
	return peerOutput{numbers[0], numbers[1], numbers[2], numbers[3:]}, nil
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
