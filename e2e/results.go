package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// results are the lines of the table.
type results struct {
	rows   []row
	failed int
}

type row struct {
	what, how string
	ok        bool
}

func (r *results) pass(what, format string, args ...any) {
	r.rows = append(r.rows, row{what, fmt.Sprintf(format, args...), true})
}

func (r *results) fail(what, format string, args ...any) {
	r.failed++
	r.rows = append(r.rows, row{what, fmt.Sprintf(format, args...), false})
}

// check is for what is counted: n things looked at, of which some were bad. Nothing to look at is bad.
func (r *results) check(what string, n int, bad []string, unit string) {
	switch {
	case n == 0:
		r.fail(what, "no %s to look at", unit)
	case len(bad) > 0:
		r.fail(what, "%d of %d %s, the first: %s", len(bad), n, unit, bad[0])
	default:
		r.pass(what, "%d %s", n, unit)
	}
}

// print reports whether all is well.
func (r *results) print(w io.Writer) bool {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, x := range r.rows {
		verdict := "ok"
		if !x.ok {
			verdict = "FAILED"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", verdict, x.what, x.how)
	}
	t.Flush()
	fmt.Fprintf(w, "checks: %d of %d\n", len(r.rows)-r.failed, len(r.rows))
	return r.failed == 0 && len(r.rows) > 0
}
