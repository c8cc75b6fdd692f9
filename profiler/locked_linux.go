//go:build linux && (amd64 || arm64)

package profiler

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
)

// locked refuses memory that its owner has locked (mlock): arming it would undo that.
func locked(lo, hi uintptr) error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("look for locked memory: %w", err)
	}
	// In kB, proc_pid_status(5); most processes have none, and need not list their mappings.
	if _, after, ok := bytes.Cut(status, []byte("VmLck:")); ok {
		if f := bytes.Fields(after); len(f) > 0 && string(f[0]) == "0" {
			return nil
		}
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("look for locked memory: %w", err)
	}
	defer f.Close()
	in := false
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if flags, ok := bytes.CutPrefix(sc.Bytes(), []byte("VmFlags:")); ok {
			if in && slices.ContainsFunc(bytes.Fields(flags), func(f []byte) bool { return string(f) == "lo" }) {
				return fmt.Errorf("%w: memory at %#x is locked (mlock): unlock it first", ErrNotSupported, lo)
			}
			in = false
		} else if m, _, err := parseMap(sc.Bytes()); err == nil {
			in = m.lo < hi && lo < m.hi
		}
	}
	return nil
}
