//go:build linux && (amd64 || arm64)

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// ownProc refuses to start where /proc is not this process's. One of another PID namespace has other numbers for the
// process and its threads: no thread could be asked or stopped by the number that is listed there.
func ownProc() error {
	self, err := os.Readlink("/proc/self")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// That is also what /proc/self is where the process has no number in the namespace of the mount.
		if _, e := os.Stat("/proc/sys"); e == nil {
			err = errForeignProc
		}
		return fmt.Errorf("%w: the engine needs /proc: %w: mount it for this process's PID namespace (mount -t proc proc /proc)", uffd.ErrNotSupported, err)
	case err != nil:
		return fmt.Errorf("%w: the engine needs /proc: %w", uffd.ErrNotSupported, err)
	}
	if pid, tid := os.Getpid(), unix.Gettid(); self != strconv.Itoa(pid) {
		return fmt.Errorf("%w: %w: it calls process %d %s: mount it for this process's PID namespace (mount -t proc proc /proc)", uffd.ErrNotSupported, errForeignProc, pid, self)
	} else if _, err := os.Stat("/proc/self/task/" + strconv.Itoa(tid)); err != nil {
		return fmt.Errorf("%w: the engine needs the threads of the process in /proc: %w", uffd.ErrNotSupported, err)
	}
	return nil
}

var errForeignProc = errors.New("the /proc that is mounted here is of another PID namespace")
