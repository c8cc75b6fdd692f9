// Command report measures what a first touch costs and prints the tables of docs/overhead.md.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/firsttouch/firsttouch/bench"
)

func main() {
	bench.Child()
	rounds := flag.Int("rounds", 15, "how often everything is measured")
	quick := flag.Bool("quick", false, "compare with other observers in a part of the cells, once: a minute or two")
	only := flag.String("only", "", "regular expression: measure only groups whose title it matches, and compare nothing")
	plots := flag.String("json", "", "write the comparison to this file too, for bench/plot")
	flag.Parse()
	if *rounds < 1 {
		fmt.Fprintln(os.Stderr, "report: -rounds must be 1 or more")
		os.Exit(2)
	}
	if err := run(*rounds, *quick, *only, *plots); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// compareRounds is how often a full comparison goes through its cells, of which one takes some seconds.
const compareRounds = 3

func run(rounds int, quick bool, only, plots string) error {
	turns := compareRounds
	if quick {
		rounds, turns = min(rounds, 3), 1
	}
	if err := bench.Report(os.Stdout, rounds, only); err != nil || only != "" {
		return err
	}
	if err := bench.Scale(os.Stdout); err != nil {
		return err
	}
	list, err := bench.Compare(os.Stdout, quick, turns)
	if err != nil || plots == "" {
		return err
	}
	text, err := json.MarshalIndent(list, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(plots, append(text, '\n'), 0o644)
}
