// Command metricsdoc writes docs/metrics.md from the catalogue in package exporter.
package main

import (
	"flag"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	to := flag.String("o", "metrics.md", "`file` to write")
	flag.Parse()
	if err := os.WriteFile(*to, page(), 0o644); err != nil {
		log.Fatal(err)
	}
}
