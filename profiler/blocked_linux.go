//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A thread that Go starts blocks all signals for a moment, which is long where it gets no processor: it is asked for a
// second before it counts.
const (
	blockedTries = 100
	blockedPause = 10 * time.Millisecond
)

// blocksSIGBUS names a thread of this process that blocks SIGBUS: delivery by signal would kill it, and the process
// with it, at its first touch (force_sig_fault, kernel/signal.c).
func blocksSIGBUS() error {
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		return err
	}
	for _, path := range tasks {
		for try := range blockedTries {
			text, err := os.ReadFile(path)
			if err != nil || !blocks(text, unix.SIGBUS) { // the thread has ended, or /proc is not there
				break
			}
			if try == blockedTries-1 {
				return fmt.Errorf("%w: delivery by signal would kill thread %s (%s), which blocks SIGBUS: deliver by thread (DeliveryThread)",
					ErrNotSupported, filepath.Base(filepath.Dir(path)), field(text, "Name:"))
			}
			time.Sleep(blockedPause)
		}
	}
	return nil
}

// blocks reads a thread's mask of blocked signals, see proc_pid_status(5).
func blocks(status []byte, signal unix.Signal) bool {
	mask, err := strconv.ParseUint(string(field(status, "SigBlk:")), 16, 64)
	return err == nil && mask>>(signal-1)&1 != 0
}

func field(status []byte, name string) []byte {
	_, rest, _ := bytes.Cut(status, []byte(name))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return bytes.TrimSpace(line)
}
