package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// mountKernel mounts what the kernel offers, and memory for temporary files.
func mountKernel() error {
	for _, m := range []struct{ kind, target, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", ""},
		{"tmpfs", "/dev/shm", "mode=1777"},
		{"tmpfs", "/tmp", "mode=1777"},
	} {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.target, m.kind, unix.MS_NOSUID, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return nil
}

// diskWait is how long the kernel may take to find the disk. It is there after some milliseconds.
const diskWait = 30 * time.Second

// mountDisk makes a place for temporary files on a disk, since there is nothing to read from a disk in
// memory, and says what it is.
func mountDisk() (string, error) {
	const device, target = "/dev/vda", "/disk"
	if err := waitFor(device, diskWait); err != nil {
		return "", err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return "", err
	}
	if err := unix.Mount(device, target, "ext4", unix.MS_NOSUID, ""); err != nil {
		return "", fmt.Errorf("mount %s on %s: %w", device, target, err)
	}
	if err := os.Mkdir(target+"/tmp", 0o777); err != nil {
		return "", err
	}
	if err := os.Chmod(target+"/tmp", 0o777|os.ModeSticky); err != nil { // whatever the umask
		return "", err
	}
	return "ext4 on a virtio disk", os.Setenv("TMPDIR", target+"/tmp")
}

func waitFor(path string, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		_, err := os.Stat(path)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w, after %v", err, limit)
		}
	}
}
