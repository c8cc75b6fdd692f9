package agent

import (
	"context"
	"fmt"
	"net"

	"github.com/firsttouch/firsttouch/internal/endpoint"
)

// listen serves the handler at the configured address.
func (a *Agent) listen(ctx context.Context) (err error) {
	if a.debug, err = endpoint.Serve(ctx, a.cfg.debugAddr, a.guard, a.Handler(), 0); err != nil {
		return fmt.Errorf("debug endpoint (WithDebugAddr or FIRSTTOUCH_DEBUG_ADDR): choose a free address of this machine: %w", err)
	}
	return nil
}

// DebugAddr is the address that the debug endpoint listens on, or nil where it does not.
func (a *Agent) DebugAddr() net.Addr {
	if a.debug == nil {
		return nil
	}
	return a.debug.Addr()
}
