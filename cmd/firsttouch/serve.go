package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/internal/endpoint"
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

Without a host, the address is this machine's alone, where it answers requests for localhost and addresses only. With
FIRSTTOUCH_TOKEN in the environment requests have to bring it, as to an agent; a browser asks for it, as the password of any user.

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
	token := os.Getenv(endpoint.TokenVariable)
	if err := endpoint.CheckToken(token); token != "" && err != nil {
		return fmt.Errorf("%w: %s: %w", recordings.ErrUsage, endpoint.TokenVariable, err)
	}
	handler, err := agent.RecordingHandler(r.Recording, traces)
	if err != nil {
		return err
	}
	guard := endpoint.NewGuard(token, func(text string) { fmt.Fprintln(c.ErrOrStderr(), "firsttouch: a request failed:", plain.Line(text)) })
	server, err := endpoint.Serve(c.Context(), listen, guard, guard.Handler(handler), 0)
	if err != nil {
		return fmt.Errorf("%w: choose a free address of this machine with -listen", err)
	}
	defer server.Shutdown(c.Context()) // for the errors below; on the way that succeeds it was called
	for _, n := range server.Notes() {
		fmt.Fprintln(c.ErrOrStderr(), "firsttouch:", n)
	}
	if _, err := fmt.Fprintf(c.OutOrStdout(), "Serving %s until interrupted\n  http://%s/debug/firsttouch/\n", plain.Line(r.Name), server.Addr()); err != nil {
		return printing(err)
	}
	select {
	case <-server.Done():
		return server.Err()
	case <-c.Context().Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = server.Shutdown(ctx) // what was cut off is a download
	return server.Err()
}
