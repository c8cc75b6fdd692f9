//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"fmt"
	"os"
)

// locked refuses memory that its owner has locked (mlock): arming it would undo that.
func locked(lo, hi uintptr) error {
	if any, err := anyLocked(); !any {
		return err
	}
	in := false
	if err := eachSmap(func(m *smap) bool {
		in = m.lo < hi && lo < m.hi && m.has("lo")
		return !in
	}); err != nil {
		return fmt.Errorf("look for locked memory: %w", err)
	}
	if in {
		return fmt.Errorf("%w: memory at %#x is locked (mlock): unlock it first", ErrNotSupported, lo)
	}
	return nil
}

// anyLocked reports whether the process has locked memory at all. Most have none, and need not list their
// mappings.
func anyLocked() (bool, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false, fmt.Errorf("look for locked memory: %w", err)
	}
	// In kB, proc_pid_status(5).
	if _, after, ok := bytes.Cut(status, []byte("VmLck:")); ok {
		if f := bytes.Fields(after); len(f) > 0 && string(f[0]) == "0" {
			return false, nil
		}
	}
	return true, nil
}
