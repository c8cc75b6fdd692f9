//go:build !linux

package serve

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"

	"github.com/firsttouch/firsttouch/uffd"
)

// Server answers the faults of one descriptor. On this system there are none.
type Server struct{ layout *Layout }

// New makes a server that cannot serve.
func New(_ *uffd.FD, layout *Layout, _ ...Option) *Server { return &Server{layout} }

// Layout is a copy of what is where.
func (s *Server) Layout() *Layout { return s.layout.clone() }

// Stats is all zeros.
func (s *Server) Stats() Stats { return Stats{} }

// Run answers uffd.ErrNotSupported.
func (s *Server) Run(context.Context) error { return notHere() }

// Prefetch answers uffd.ErrNotSupported.
func (s *Server) Prefetch(context.Context, uffd.Range) (uint64, error) { return 0, notHere() }

func notHere() error {
	return fmt.Errorf("%w: userfaultfd exists on Linux, not on %s", uffd.ErrNotSupported, runtime.GOOS)
}

// Supervise answers uffd.ErrNotSupported.
func Supervise(context.Context, *uffd.FD, func() *exec.Cmd) error { return notHere() }

// Supervised answers uffd.ErrNotSupported.
func Supervised() (*uffd.FD, Option, error) { return nil, nil, notHere() }

// journal is what Supervise shares with its handlers.
type journal struct{}
