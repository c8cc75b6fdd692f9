//go:build linux && (amd64 || arm64)

package engine

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// A thread that Go starts blocks all signals for a moment, which is long where it gets no processor: it is asked for a
// second before it counts.
const (
	blockedTries = 100
	blockedPause = 10 * time.Millisecond
)

// refuseBlocked refuses delivery by signal where a thread of this process blocks one of the signals: that would kill it, and
// the process with it, at its first touch (force_sig_fault, kernel/signal.c). A handler of ours
// blocks them only while it waits for storage: there the mask to which it returns counts.
func refuseBlocked(signals []unix.Signal) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("look for threads that block SIGBUS or SIGSEGV: %w", err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			return fmt.Errorf("look for threads that block SIGBUS or SIGSEGV: %w", err)
		}
		for _, sig := range signals {
			if err := refuseBlocking(tid, sig); err != nil {
				return err
			}
		}
	}
	return nil
}

func refuseBlocking(tid int, sig unix.Signal) error {
	for range blockedTries {
		if _, blocks := Blocks(tid, sig); !blocks || storageEntry(uint32(tid)) == uint32(tid) {
			return nil
		}
		time.Sleep(blockedPause)
	}
	name, _ := Blocks(tid, sig)
	return fmt.Errorf("%w: delivery by signal would kill thread %d (%s), which blocks %s: deliver by thread (DeliveryThread)",
		uffd.ErrNotSupported, tid, name, unix.SignalName(sig))
}

// Blocks reports whether a thread of this process blocks a signal, and what it is called. One that has ended blocks
// none. See proc_pid_status(5).
func Blocks(tid int, signal unix.Signal) (name string, blocks bool) {
	status, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return "", false
	}
	mask, err := strconv.ParseUint(field(status, "SigBlk:"), 16, 64)
	return field(status, "Name:"), err == nil && mask>>(signal-1)&1 != 0
}

func field(status []byte, name string) string {
	_, rest, _ := bytes.Cut(status, []byte(name))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return string(bytes.TrimSpace(line))
}
