package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/firsttouch/firsttouch/internal/vm/wire"
)

const (
	cpus      = "2"     // the races need more than one
	memory    = "2048"  // MiB
	diskBytes = 2 << 30 // sparse

	diskFile, initrdFile = "disk", "initramfs" // in the machine's directory
)

// newDisk makes the guest's disk with a tree on it.
func newDisk(ctx context.Context, path, root string) error {
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		return err
	}
	if err := os.Truncate(path, diskBytes); err != nil {
		return err
	}
	_, err := output(exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-d", root, path))
	return err
}

// boot runs a guest until it turns itself off, and calls f with each frame. Its disk and
// initramfs are in dir, where what the kernel prints goes into the file console.
func boot(ctx context.Context, m machine, k kernel, dir, accel string, f func(wire.Frame) error) error {
	q := emulators[m.arch]
	console := filepath.Join(dir, "console")
	args := append([]string{
		"-accel", accel, "-smp", cpus, "-m", memory, "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", k.image, "-initrd", filepath.Join(dir, initrdFile), "-append", "console=" + q.console + " panic=-1",
		"-serial", "file:" + console,
		"-drive", "if=none,id=disk,format=raw,cache=unsafe,file=" + filepath.Join(dir, diskFile), "-device", "virtio-blk-pci,drive=disk",
		"-chardev", "file,id=results,path=/dev/stdout", "-device", "virtio-serial-pci",
		"-device", "virtserialport,chardev=results,name=" + wire.ResultsTo,
	}, q.args...)
	c := exec.CommandContext(ctx, q.program, args...)
	c.WaitDelay = 10 * time.Second
	results, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return err
	}
	done, err := receive(results, f)
	if err != nil {
		c.Process.Kill()
	}
	waitErr := c.Wait()
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("the guest did not finish: %w; its console is %s", context.Cause(ctx), console)
	case waitErr != nil:
		return fmt.Errorf("%s: %w", q.program, waitErr)
	case !done:
		return fmt.Errorf("the guest ended before its job did; its console is %s", console)
	}
	return nil
}

// receive reads frames until the guest is off. done reports whether the last of them came.
func receive(r io.Reader, f func(wire.Frame) error) (done bool, err error) {
	dec := json.NewDecoder(bufio.NewReader(r))
	for {
		var frame wire.Frame
		if err := dec.Decode(&frame); errors.Is(err, io.EOF) {
			return done, nil
		} else if err != nil {
			return done, fmt.Errorf("reading what the guest sends: %w", err)
		}
		done = done || frame.Done
		if err := f(frame); err != nil {
			return done, err
		}
	}
}
