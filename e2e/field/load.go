package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What else wants the processors.
const (
	quiet = "quiet"
	busy  = "busy" // a busy loop for each processor
	half  = "half" // a control group with half a processor
)

var allLoads = []string{quiet, busy, half}

const spinArg = "spin"

// spin keeps a processor busy until its parent has ended.
func spin() {
	runtime.LockOSThread()
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, 0); err != nil {
		os.Exit(1)
	}
	for n := 0; ; n++ {
		if n%(1<<26) == 0 && os.Getppid() == 1 {
			os.Exit(0)
		}
	}
}

// loaded begins a load: enter puts a process under it, and end ends it.
func loaded(load string) (end func() error, enter func(pid int) error, err error) {
	end, enter = func() error { return nil }, func(int) error { return nil }
	switch load {
	case busy:
		self, err := os.Executable()
		if err != nil {
			return nil, nil, err
		}
		var list []*exec.Cmd
		for range runtime.NumCPU() {
			c := exec.Command(self, spinArg)
			c.Env = append(os.Environ(), "GOMAXPROCS=1")
			if err := c.Start(); err != nil {
				return nil, nil, err
			}
			list = append(list, c)
		}
		end = func() error {
			for _, c := range list {
				c.Process.Kill()
				c.Wait()
			}
			return nil
		}
	case half:
		group, err := halfGroup()
		if err != nil {
			return nil, nil, fmt.Errorf("a control group with half a processor: %w", err)
		}
		enter = func(pid int) error {
			return os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644)
		}
		end = func() error {
			var err error
			for range 100 { // the kernel needs a moment to see that it is empty
				if err = os.Remove(group); !errors.Is(err, syscall.EBUSY) {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			return err
		}
	}
	return end, enter, nil
}

// halfGroup makes a control group with 50 ms of processor time in each 100 ms, by either version of the interface.
func halfGroup() (string, error) {
	name := fmt.Sprintf("firsttouch-field-%d", os.Getpid())
	group, file, text := filepath.Join("/sys/fs/cgroup", name), "cpu.max", "50000 100000"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		if err := os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+cpu"), 0o644); err != nil {
			return "", err
		}
	} else {
		group, file, text = filepath.Join("/sys/fs/cgroup/cpu", name), "cpu.cfs_quota_us", "50000"
	}
	if err := os.Mkdir(group, 0o755); err != nil {
		return "", err
	}
	return group, os.WriteFile(filepath.Join(group, file), []byte(text), 0o644)
}
