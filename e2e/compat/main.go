// Command compat runs the test suites of other people's libraries, unmodified, with and without the profiler
// attached to every file that they map, and compares the results test by test.
//
//	go run ./e2e/compat              all libraries, some minutes; with -update it writes docs/compatibility.md
//	go run ./e2e/compat -quick       a part of each
//	go run ./e2e/compat bbolt zapx   these only
//
// Each library comes from the module proxy at a fixed version, is checked by the checksum database, and is copied
// to a temporary directory. Its files stay what they are; each of its test packages gets one more, wrap.go.txt,
// which starts the agent when it is told to, and the standard library has calls of it: see overlay.go. Both runs use the same binary, one after the other.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	quick := flag.Bool("quick", false, "run a part of each suite only")
	update := flag.Bool("update", false, "write docs/compatibility.md")
	logs := flag.String("logs", "", "keep the events of both runs in this directory")
	limit := flag.Duration("timeout", 30*time.Minute, "for everything")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	var rows []row
	bad := false
	for _, l := range libraries {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), l.name) {
			continue
		}
		r, err := l.compare(ctx, *quick, *logs)
		if err != nil {
			log.Printf("%s: %v", l.name, err)
			bad = true
			continue
		}
		bad = bad || !r.same()
		rows = append(rows, r)
		fmt.Print(r)
	}
	if len(rows) == 0 {
		log.Fatal("no library was tested")
	}
	if *update {
		if err := os.WriteFile("docs/compatibility.md", []byte(page(rows)), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	if bad {
		os.Exit(1)
	}
}
