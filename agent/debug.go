package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// debugServer serves the agent's handler at an address of its own.
type debugServer struct {
	listener net.Listener
	server   *http.Server
	done     chan struct{}
	token    bool // is asked for

	mu     sync.Mutex
	failed error // why it ended by itself, or nil
}

// listen serves the handler at the configured address.
func (a *Agent) listen(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", a.cfg.debugAddr)
	if err != nil {
		return fmt.Errorf("debug endpoint (WithDebugAddr or FIRSTTOUCH_DEBUG_ADDR): choose a free address of this machine: %w", err)
	}
	d := &debugServer{listener: l, done: make(chan struct{}), server: &http.Server{
		Handler:           a.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second, // nobody has a body to send
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		// No WriteTimeout: a window takes as long as was asked for.
	}}
	if addr, ok := l.Addr().(*net.TCPAddr); ok && addr.IP.IsLoopback() {
		d.server.Handler = localOnly(d.server.Handler)
	}
	d.token = a.cfg.token != ""
	a.debug = d
	go func() {
		defer close(d.done)
		if err := d.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			d.mu.Lock()
			d.failed = err
			d.mu.Unlock()
		}
	}()
	return nil
}

// close ends the server when its requests have ended, or at once when ctx ends.
func (d *debugServer) close(ctx context.Context) error {
	err := d.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("debug endpoint: requests were cut off: %w", err), d.server.Close())
	}
	<-d.done
	return err
}

func (d *debugServer) notes() (notes []string) {
	if addr, ok := d.listener.Addr().(*net.TCPAddr); ok && !addr.IP.IsLoopback() && !d.token {
		notes = append(notes, fmt.Sprintf("the debug endpoint listens on %v without authentication: "+
			"whoever reaches it sees file and function names, and can have regions armed again", addr))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		notes = append(notes, fmt.Sprintf("the debug endpoint ended: %v", d.failed))
	}
	return notes
}

// DebugAddr is the address that the debug endpoint listens on, or nil where it does not.
func (a *Agent) DebugAddr() net.Addr {
	if a.debug == nil {
		return nil
	}
	return a.debug.listener.Addr()
}
