// Command bbolt is a small HTTP service over a bbolt database, with its page faults in its own
// traces and at its own address:
//
//	go run ./examples/bbolt -db /tmp/example.db
//	curl 'http://127.0.0.1:8080/get?key=key-000042'
//	go tool pprof -top 'http://127.0.0.1:8080/debug/firsttouch/profile'
//
// With OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 its spans go to that collector or Jaeger,
// those that waited for memory with firsttouch.faults and firsttouch.stall.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/profiler"
	"go.etcd.io/bbolt"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	path := flag.String("db", "example.db", "database, made when it is not there")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *addr, *path, func(a net.Addr) { log.Printf("serving at http://%v", a) }); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends, and calls ready when it can be reached.
func run(ctx context.Context, addr, path string, ready func(net.Addr)) (err error) {
	db, err := openDatabase(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	a, err := agent.Start(ctx, agent.WithFailingSystemCalls()) // this service may: see get
	if err != nil {
		return err
	}
	end := func(f func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, f(ctx))
	}
	defer end(a.Shutdown)
	for _, n := range a.Notes() {
		log.Print(n)
	}
	if a.Reason() != "" {
		log.Printf("not profiled: %s", a.Reason())
	} else if _, err := a.AttachFile(path, guardedBy(db)); err != nil {
		return err
	}
	tp, err := tracing(ctx, a)
	if err != nil {
		return err
	}
	defer end(tp.Shutdown)

	mux := http.NewServeMux()
	mux.Handle("GET /get", otelhttp.NewHandler(get(db), "get", otelhttp.WithTracerProvider(tp)))
	mux.Handle("/debug/firsttouch/", a.Handler())
	return serve(ctx, addr, mux, ready)
}

// guardedBy has the profiler change bbolt's mapping only while a read transaction keeps bbolt from
// doing so: otherwise it would have to stop all threads for that moment.
func guardedBy(db *bbolt.DB) profiler.RegionOption {
	return profiler.WithGuard(func(critical func()) error {
		return db.View(func(*bbolt.Tx) error { critical(); return nil })
	})
}

// get answers with the value of a key. The value is copied out of the mapping before it is written
// to the connection: where the profiler serves user mode only, write(2) refuses pages of the
// mapping that were not touched before. A service that does not copy must not have WithFailingSystemCalls.
func get(db *bbolt.DB) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var value []byte
		err := db.View(func(tx *bbolt.Tx) error {
			value = append(value, tx.Bucket(bucket).Get([]byte(r.FormValue("key")))...)
			return nil
		})
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		case value == nil:
			http.Error(w, "no such key", http.StatusNotFound)
		default:
			fmt.Fprintf(w, "%s\n", value)
		}
	})
}

func serve(ctx context.Context, addr string, h http.Handler, ready func(net.Addr)) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	ready(l.Addr())
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return srv.Shutdown(context.WithoutCancel(ctx))
	}
}
