package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/internal/promnames"
)

const head = `# Metrics

<!-- Made from exporter/metriccatalogue.go by go generate ./exporter: change that. -->

The scope is ` + "`github.com/firsttouch/firsttouch/exporter/metrics`" + `. Each metric has at most %d attribute sets.

| OpenTelemetry | Prometheus | instrument | unit | attributes |
|---|---|---|---|---|
`

// page is the text of docs/metrics.md.
func page() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, head, exporter.MetricSets)
	for _, m := range exporter.Metrics() {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", m.Name, promnames.Of(m), m.Instrument, m.Unit, strings.Join(m.Keys, ", "))
	}
	for _, m := range exporter.Metrics() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", m.Name, m.Text)
		if m.Note != "" {
			fmt.Fprintf(&b, "%s\n", m.Note)
		}
		if len(m.Bounds) > 0 {
			fmt.Fprintf(&b, "\nBuckets up to %s, and above.\n", bounds(m.Bounds))
		}
	}
	b.WriteString("\n## Attributes\n\n| attribute | |\n|---|---|\n")
	for _, a := range exporter.MetricAttributes() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", a.Key, a.Text)
	}
	return []byte(b.String())
}

// bounds lists a histogram's bounds, or says how many equal ones there are.
func bounds(list []float64) string {
	if n := len(list); list[n-1] == 1 && list[0] == 1/float64(n) {
		return fmt.Sprintf("1/%d, 2/%d and so on to 1", n, n)
	}
	var words []string
	for _, v := range list {
		words = append(words, strconv.FormatFloat(v, 'g', -1, 64))
	}
	return strings.Join(words, ", ")
}
