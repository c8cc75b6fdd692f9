package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/firsttouch/firsttouch/agent"
)

func main() {
	a, err := agent.Start(context.Background(), agent.WithLogger(slog.Default()))
	if err != nil {
		slog.Error("the service runs on without firsttouch", "error", err)
	}
	defer a.Shutdown(context.Background())
	http.Handle("/debug/firsttouch/", a.Handler())
	// The rest of the service stays as it is.
	slog.Error("served", "error", http.ListenAndServe("127.0.0.1:8080", nil))
}
