// Command arena is a small cache service that keeps its values outside the Go heap, in an arena
// that shows how much of it is ever used:
//
//	FIRSTTOUCH_DEBUG_ADDR=:6070 go run ./examples/arena
//	curl -X PUT --data hello http://127.0.0.1:8081/cache/1
//	curl http://127.0.0.1:8081/cache/1
//	xdg-open http://127.0.0.1:6070/debug/firsttouch/
//
// It works alike where the system refuses to be profiled: the arena is plain memory then.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/firsttouch/firsttouch/agent"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8081", "address to listen on")
	slots := flag.Int("slots", 1<<14, "number of values, 4 KiB each")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	a, err := agent.Start(ctx, agent.WithFailingSystemCalls()) // this service may: see cache.get
	if err != nil {
		log.Fatal(err)
	}
	if a.Reason() != "" {
		log.Printf("not profiled: %s", a.Reason())
	}
	for _, n := range a.Notes() {
		log.Print(n)
	}
	err = run(ctx, a, *addr, *slots, func(a net.Addr) { log.Printf("serving at http://%v", a) })
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := errors.Join(err, a.Shutdown(end)); err != nil {
		log.Fatal(err)
	}
}

// run serves the cache until ctx ends, and calls ready when it can be reached.
func run(ctx context.Context, a *agent.Agent, addr string, slots int, ready func(net.Addr)) error {
	memory, err := a.Arena("cache", slots*slotSize)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return errors.Join(err, memory.Close())
	}
	srv := &http.Server{Handler: newCache(memory.Bytes()), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	ready(l.Addr())
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = srv.Shutdown(context.WithoutCancel(ctx))
	}
	// Only now does no handler use the memory any more.
	return errors.Join(err, memory.Close())
}
