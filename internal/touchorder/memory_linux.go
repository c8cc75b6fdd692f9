package touchorder

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// How often it is looked whether memory has become short.
const lookBytes = 16 << 20

// freeMemory is what the system, and the process's control group, still has, in bytes. Of memory that holds files only what can be given up counts.
func freeMemory() (int64, error) {
	text, err := slurp("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	free := field(text, "MemAvailable:") << 10
	if free <= 0 {
		return 0, errors.New("/proc/meminfo has no MemAvailable")
	}
	if left, ok := leftOfGroup(); ok {
		free = min(free, left)
	}
	return free, nil
}

// leftOfGroup is what control groups of version 2 leave, from the process's own up to the root. false: there is no limit, or none is to be seen.
func leftOfGroup() (left int64, limited bool) {
	text, err := slurp("/proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	_, path, ok := strings.Cut(text, "0::")
	if !ok {
		return 0, false
	}
	path, _, _ = strings.Cut(path, "\n")
	const root = "/sys/fs/cgroup"
	for dir := filepath.Join(root, path); ; dir = filepath.Dir(dir) {
		if most, ok := number(dir + "/memory.max"); ok {
			used, _ := number(dir + "/memory.current")
			stat, _ := slurp(dir + "/memory.stat")
			// As Kubernetes counts: files that were not used again lately are given up first.
			n := max(most-max(used-field(stat, "inactive_file "), 0), 0)
			if !limited || n < left {
				left, limited = n, true
			}
		}
		if dir == root || len(dir) <= len(root) {
			return left, limited
		}
	}
}

// number reads a file with a number; "max" is none.
func number(path string) (int64, bool) {
	text, err := slurp(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n, err == nil
}

// field is the number behind a name at the start of a line, or 0.
func field(text, name string) int64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseInt(f[0], 10, 64)
				return n
			}
		}
	}
	return 0
}

// slurp reads a small file without an os.File, which the scheduler would poll: the descriptor is of this thread's table.
func slurp(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	b := make([]byte, 16<<10)
	for n := 0; ; {
		k, err := unix.Read(fd, b[n:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return "", &os.PathError{Op: "read", Path: path, Err: err}
		}
		if n += k; k == 0 || n == len(b) {
			return string(b[:n]), nil
		}
	}
}

// short reports whether less memory is left by now than was to be left.
func (r *reader) short() bool {
	if r.result.Done < r.looked+lookBytes {
		return false
	}
	r.looked = r.result.Done
	free, err := freeMemory()
	return err != nil || free < r.spare
}
