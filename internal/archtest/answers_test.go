package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	namedTest = regexp.MustCompile("`(Test[A-Za-z0-9]+)(?:/([0-9]{2})_([A-Za-z_]+))?`")
	testFunc  = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
	// withoutTest is a line of the table of all calls, of which each has a table of its own.
	withoutTest = regexp.MustCompile("^\\| (UFFDIO_[A-Z, _]+|userfaultfd\\(2\\), USERFAULTFD_IOC_NEW.*|PAGEMAP_SCAN.*) \\| `")
	suiteRow    = regexp.MustCompile(`(?m)^\t\{"([A-Za-z_]+)", `)
)

// TestAnswersNameTheirTests: every answer, errno and difference of docs/userfaultfd.md is held by tests, which exist.
func TestAnswersNameTheirTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "userfaultfd.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests, rows := uffdTests(t)
	if len(rows) != 16 {
		t.Fatalf("the conformance suite has %d rows: %v", len(rows), rows)
	}
	answers := 0
	lines := slices.Collect(strings.Lines(string(text)))
	for i, line := range lines {
		if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "|---") {
			continue // the head of a table
		}
		named := namedTest.FindAllStringSubmatch(line, -1)
		if cells := strings.Split(line, " | "); len(cells) == 4 && !strings.HasPrefix(line, "|---") && !withoutTest.MatchString(line) {
			answers++
			if len(namedTest.FindAllString(cells[3], -1)) == 0 {
				t.Errorf("no test holds the answer to %q", cells[0])
			}
		}
		for _, name := range named {
			if !tests[name[1]] {
				t.Errorf("%s is no test of package uffd", name[1])
			}
			if row := name[2] + "_" + name[3]; name[2] != "" && !rows[row] {
				t.Errorf("the conformance suite has no row %s: %v", row, rows)
			}
		}
	}
	if answers < 75 {
		t.Errorf("only %d answers were found", answers)
	}
}

// uffdTests lists the test functions of package uffd and the numbered rows of its conformance suite.
func uffdTests(t *testing.T) (tests, rows map[string]bool) {
	t.Helper()
	tests, rows = map[string]bool{}, map[string]bool{}
	var files []string
	for _, dir := range []string{"uffd", "uffd/serve"} {
		found, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllSubmatch(source, -1) {
			tests[string(m[1])] = true
		}
		if filepath.Base(file) == "conformance_linux_test.go" {
			for i, m := range suiteRow.FindAllSubmatch(source, -1) {
				rows[string([]byte{byte('0' + (i+1)/10), byte('0' + (i+1)%10), '_'})+string(m[1])] = true
			}
		}
	}
	return tests, rows
}
