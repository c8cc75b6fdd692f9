// Command report measures what a first touch costs and prints the tables of docs/overhead.md.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/firsttouch/firsttouch/bench"
)

func main() {
	bench.Child()
	rounds := flag.Int("rounds", 15, "how often everything is measured")
	only := flag.String("only", "", "regular expression: measure only groups whose title it matches")
	flag.Parse()
	if *rounds < 1 {
		fmt.Fprintln(os.Stderr, "report: -rounds must be 1 or more")
		os.Exit(2)
	}
	if err := bench.Report(os.Stdout, *rounds, *only); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}
