// Command report measures what a first touch costs and prints the tables of docs/overhead.md.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/firsttouch/firsttouch/bench"
)

func main() {
	bench.Child()
	rounds := flag.Int("rounds", 15, "how often each group is measured")
	pages := flag.Int("pages", bench.Pages, "how many pages a variant of a group touches in a round")
	quick := flag.Bool("quick", false, "three rounds of the groups, and the comparison in a part of its cells, once")
	parts := flag.String("parts", "cold,groups,rates,compare", "what to measure")
	only := flag.String("only", "", "regular expression: measure only groups whose title it matches")
	scale := flag.Bool("scale", false, "only this: what a cold file costs by processors and goroutines, at most ten rounds, with a verdict to send in")
	plots := flag.String("json", "", "write the comparison to this file too, for bench/plot")
	flag.Parse()
	if *rounds < 1 || *pages < 64 {
		fmt.Fprintln(os.Stderr, "report: -rounds must be 1 or more, -pages 64 or more")
		os.Exit(2)
	}
	turns := compareRounds
	if *quick {
		*rounds, turns = min(*rounds, 3), 1
	}
	if *scale {
		if err := bench.Scale(os.Stdout, min(*rounds, scaleRounds), min(*pages, scalePages)); err != nil {
			fmt.Fprintln(os.Stderr, "report:", err)
			os.Exit(1)
		}
		return
	}
	for part := range strings.SplitSeq(*parts, ",") {
		var err error
		switch part {
		case "groups":
			err = bench.Report(os.Stdout, *rounds, *pages, *only)
		case "cold":
			err = bench.Cold(os.Stdout, *rounds, min(*pages, 4096))
		case "rates":
			err = bench.Rates(os.Stdout)
		case "compare":
			err = compare(*quick, turns, *plots)
		default:
			err = fmt.Errorf("-parts: there is no %q: choose from cold, groups, rates, compare", part)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "report:", err)
			os.Exit(1)
		}
	}
}

// scaleRounds and scalePages bound what -scale measures to some minutes.
const (
	scaleRounds = 10
	scalePages  = 4096
)

// compareRounds is how often a full comparison goes through its cells, of which one takes some seconds.
const compareRounds = 3

func compare(quick bool, turns int, plots string) error {
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
