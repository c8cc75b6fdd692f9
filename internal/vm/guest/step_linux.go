package main

import (
	"errors"
	"os"
	"os/exec"
	"time"

	"github.com/firsttouch/firsttouch/internal/vm/wire"
	"golang.org/x/sys/unix"
)

const (
	graceful = 30 * time.Second // for Go to print its goroutines after SIGQUIT
	lost     = 30 * time.Second // for the kernel to end a process after SIGKILL
)

var errLost = errors.New("the kernel did not end it after SIGKILL")

// runStep runs a step until it ends or its budget is over. A process that the kernel cannot end is left
// behind. Nothing reaps orphans: the machine is off before they could matter.
func runStep(s wire.Step, env []string, out *reporter) wire.End {
	c := exec.Command(s.Args[0], s.Args[1:]...)
	c.Dir, c.Env = s.Dir, append(os.Environ(), env...)
	c.Stdout, c.Stderr, c.WaitDelay = out, out, graceful
	c.SysProcAttr = &unix.SysProcAttr{Setsid: true} // so that its children can be killed with it
	began := time.Now()
	if err := c.Start(); err != nil {
		return wire.End{Status: err.Error()}
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	var end wire.End
	var err error
	select {
	case err = <-ended:
	case <-time.After(s.Budget):
		end.TimedOut = true
		err = stop(c.Process.Pid, ended)
	}
	unix.Kill(-c.Process.Pid, unix.SIGKILL) // what it left running
	end.Took, end.OK, end.Status = time.Since(began), err == nil, "exit status 0"
	if err != nil {
		end.Status = err.Error()
	}
	return end
}

// stop ends a process that runs for too long, and those that it started.
func stop(pid int, ended chan error) error {
	for _, s := range []struct {
		pid  int
		sig  unix.Signal
		wait time.Duration
	}{{pid, unix.SIGQUIT, graceful}, {-pid, unix.SIGKILL, graceful + lost}} {
		unix.Kill(s.pid, s.sig)
		select {
		case err := <-ended:
			return err
		case <-time.After(s.wait):
		}
	}
	return errLost
}
