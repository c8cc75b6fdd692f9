package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/spf13/cobra"
)

func newServe() *cobra.Command {
	var source sourceFlags
	listen, traces := "127.0.0.1:0", ""
	c := &cobra.Command{
		Use:   "serve SOURCE",
		Short: "Show a recording in the browser",
		Long: `serve shows a recording on the page that an agent has for a live process: the heatmap by place and
time, callers, flame graph, latencies, and the requests with their first touches. It serves until it is
interrupted.

` + sourceHelp,
		Example:           `  firsttouch serve firsttouch-demo/recording.ftr`,
		Args:              wantSource(),
		ValidArgsFunction: recordingFiles,
		RunE: runningWith(func(c *cobra.Command, args []string) error {
			return source.read(c, args[0], func(r *recordings.Opened) error { return serve(c, r, listen, traces) })
		}),
	}
	source.add(c)
	c.Flags().StringVar(&listen, "listen", listen, "`address` to serve at")
	c.Flags().StringVar(&traces, "trace-url", "", "`address` of a trace, for links, such as http://localhost:16686/trace/{trace}")
	return c
}

// serve answers until the command is interrupted, which is its end and no failure.
func serve(c *cobra.Command, r *recordings.Opened, listen, traces string) error {
	handler, err := agent.RecordingHandler(r.Recording, traces)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(c.Context(), "tcp", listen)
	if err != nil {
		return fmt.Errorf("%w: choose a free address of this machine with -listen", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	if _, err := fmt.Fprintf(c.OutOrStdout(), "Serving %s until interrupted\n  http://%s/debug/firsttouch/\n", plain.Line(r.Name), l.Addr()); err != nil {
		return printing(errors.Join(err, server.Close(), <-served))
	}
	select {
	case err := <-served:
		return err
	case <-c.Context().Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		err = server.Close() // what goes on is a download
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
