package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// patience bounds the start of a program, and its end.
const patience = time.Minute

// started are the programs that run, to be ended in reverse.
type started struct{ all []*process }

type process struct {
	name string
	cmd  *exec.Cmd
	log  bytes.Buffer  // what it says, for when it fails
	done chan struct{} // closed when it has ended
}

// start runs a program until stop. Its standard output is to's, or kept with its errors for nil.
func (s *started) start(ctx context.Context, name string, to io.Writer, env []string, program string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.CommandContext(ctx, program, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if to != nil {
		p.cmd.Stdout = to
	}
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(os.Interrupt) }
	p.cmd.WaitDelay = patience
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended shows in its log
	}()
	s.all = append(s.all, p)
	return p, nil
}

// stop ends them, and reports those that would not.
func (s *started) stop() error {
	var errs []error
	for i := len(s.all) - 1; i >= 0; i-- {
		p := s.all[i]
		_ = p.cmd.Process.Signal(os.Interrupt) // an error is that it has ended
		select {
		case <-p.done:
		case <-time.After(patience):
			errs = append(errs, fmt.Errorf("%s did not end within %v and was killed", p.name, patience))
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	}
	return errors.Join(errs...)
}

// died is the error for a program that ended too early.
func (p *process) died() error {
	return fmt.Errorf("%s ended: %s", p.name, bytes.TrimSpace(p.log.Bytes()))
}

// answers waits until a page is there.
func (p *process) answers(ctx context.Context, url string) error {
	for deadline := time.Now().Add(patience); ; {
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return p.died()
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not answer at %s within %v", p.name, url, patience)
		}
	}
}

// freeAddress is one of loopback that nobody listens on at this moment.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
