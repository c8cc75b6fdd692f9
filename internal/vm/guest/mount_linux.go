package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// mountKernel mounts what the kernel offers below a directory, and memory where the C library wants it.
func mountKernel(root string) error {
	for _, m := range []struct{ kind, target, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", ""},
		{"tmpfs", "/dev/shm", "mode=1777"},
	} {
		target := root + m.target
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, target, m.kind, unix.MS_NOSUID, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", target, err)
		}
	}
	return nil
}

// diskWait is how long the kernel may take to find a device. It is there after some milliseconds.
const diskWait = 30 * time.Second

// switchRoot makes the disk the root of everything: memory would have no disk to read from, and a user
// namespace cannot be made from a chroot alone.
func switchRoot() error {
	const device, root = "/dev/vda", "/disk"
	if err := waitFor(device, diskWait); err != nil {
		return err
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(device, root, "ext4", unix.MS_NOSUID, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", device, root, err)
	}
	if err := mountKernel(root); err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move %s to the root: %w", root, err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot to %s: %w", device, err)
	}
	return os.Chdir("/")
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
