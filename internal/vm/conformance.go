package main

import (
	"regexp"
	"strings"
)

// cell is a line of the table that the conformance tests of uffd end with.
type cell struct{ Row, Memory, Result, Why string }

// columns are apart by two blanks at least, and the last may be empty.
var columns = regexp.MustCompile(`\s{2,}`)

// conformance cuts the table out of what the tests printed. The last one counts: cells run in
// processes that could print one of their own.
func conformance(out string) (cells []cell) {
	inside := false
	for line := range strings.Lines(out) {
		fields := columns.Split(strings.TrimSpace(line), 4)
		switch {
		case len(fields) == 4 && fields[0] == "row" && fields[1] == "memory":
			inside, cells = true, nil
		case len(fields) < 3:
			inside = false
		case inside:
			cells = append(cells, cell{fields[0], fields[1], fields[2], strings.Join(fields[3:], "")})
		}
	}
	return cells
}
