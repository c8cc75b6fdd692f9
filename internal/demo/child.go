package demo

import (
	"context"
	"errors"
	"fmt"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/internal/endpoint"
)

// stopBudget bounds the wait for a service that was told to end.
const stopBudget = flushBudget + 5*time.Second

// child is a service in a process of its own.
type child struct {
	cmd    *exec.Cmd
	client *rpc.Client
}

// startChild starts the process; it waits for calls.
func startChild(o *Options) (*child, error) {
	cmd := exec.Command(o.Service[0], o.Service[1:]...)
	// The demo is set by its flags: a variable meant for other services would change what it shows. The token guards its pages.
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "FIRSTTOUCH_") || strings.HasPrefix(kv, endpoint.TokenVariable+"=") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Stderr = o.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the service: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the service: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the service: %w", err)
	}
	c := &child{cmd: cmd, client: jsonrpc.NewClient(stdio{out, in})}
	return c, nil
}

// call makes a remote call. When the process ends meanwhile, the error says how.
func (c *child) call(ctx context.Context, method string, args, reply any) error {
	call := c.client.Go("Service."+method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-call.Done:
	}
	if _, answered := errors.AsType[rpc.ServerError](call.Error); call.Error == nil || answered {
		return call.Error
	}
	return errors.Join(fmt.Errorf("the service ended while it was asked to %s: %w", strings.ToLower(method), call.Error), c.stop())
}

// stop closes the process's input, upon which it ends, and waits. Further calls do nothing.
func (c *child) stop() error {
	if c.cmd == nil {
		return nil
	}
	cmd := c.cmd
	c.cmd = nil
	_ = c.client.Close() // its error is the end of the conversation, which is what is wanted
	kill := time.AfterFunc(stopBudget, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the service: %w", err)
	}
	return nil
}
