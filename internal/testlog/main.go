// Testlog reads the events of go test -json, prints what go test prints, each skipped test or benchmark with
// its reason, and a summary, and fails when a test failed, or skipped without being on the list.
//
//	go test -json ./... | go run ./internal/testlog -skips .ci/skips.txt
//
// With -json it also writes the summary to a file.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"regexp"
	"slices"
	"strings"
)

// event is one line of go test -json, see go doc cmd/test2json.
type event struct {
	Action, Package, Test, Output, ImportPath, FailedBuild string
}

// skip is a line of the list: a test that may skip when the reason that it gives matches.
type skip struct{ test, reason *regexp.Regexp }

func main() {
	log.SetFlags(0)
	var allowed []skip
	flag.Func("skips", "file of the tests that may skip; there may be several", func(path string) error {
		list, err := readSkips(path)
		allowed = append(allowed, list...)
		return err
	})
	out := flag.String("json", "", "file for the summary")
	flag.Parse()
	s, err := readEvents(os.Stdin, os.Stdout, allowed)
	if err != nil {
		log.Fatalf("reading the output of go test: %v", err)
	}
	ok := s.print()
	if *out != "" {
		if err := s.write(*out); err != nil {
			log.Fatal(err)
		}
	}
	if !ok {
		os.Exit(1)
	}
}

// readEvents sums up the events of go test -json, and writes what people read of them while they come.
func readEvents(events io.Reader, out io.Writer, allowed []skip) (*summary, error) {
	s := &summary{out: out, allowed: allowed, output: make(map[string]*strings.Builder)}
	dec := json.NewDecoder(bufio.NewReader(events))
	for {
		var e event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return s, nil
		} else if err != nil {
			return s, err
		}
		s.add(e)
	}
}

type summary struct {
	out     io.Writer
	allowed []skip
	output  map[string]*strings.Builder // by package and test
	passed  int
	failed  []string // by package and test
	skipped []skipped
}

// skipped is a test that skipped.
type skipped struct {
	Test, Reason string
	Planned      bool // it is on the list
}

func (s *summary) add(e event) {
	key := e.Package + "." + e.Test
	switch e.Action {
	case "output":
		if e.Test == "" {
			if !noise(e.Output) {
				fmt.Fprint(s.out, e.Output)
			}
			return
		}
		if s.output[key] == nil {
			s.output[key] = new(strings.Builder)
		}
		s.output[key].WriteString(e.Output)
		if benchmark(e.Test) {
			s.measured(e, key)
		}
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "build-fail":
		s.failed = append(s.failed, e.ImportPath)
	case "pass", "fail", "skip":
		s.end(e, key)
	}
}

func benchmark(test string) bool { return strings.HasPrefix(test, "Benchmark") }

// ran is the line of a benchmark that ran, whose name may have been printed before.
var ran = regexp.MustCompile(`^(Benchmark\S*)?\s+\d+\t`)

// measured prints what a benchmark says, and counts it when it ran: there is no event for that.
func (s *summary) measured(e event, key string) {
	if strings.HasPrefix(e.Output, "===") || strings.TrimSpace(e.Output) == e.Test {
		return
	}
	fmt.Fprint(s.out, e.Output)
	if ran.MatchString(e.Output) {
		s.passed++
		delete(s.output, key)
	}
}

// noise is what -json, which implies -v, adds to the package's own lines.
func noise(line string) bool {
	return line == "PASS\n" || strings.HasPrefix(line, "testing: warning: no tests to run")
}

// end counts the end of a test, or of a package that failed by itself, such as by a panic.
func (s *summary) end(e event, key string) {
	text := ""
	if b := s.output[key]; b != nil {
		text = b.String()
		delete(s.output, key)
	}
	switch {
	case e.Action == "fail" && e.Test == "":
		// What its tests have not said yet: one of them ended the process. Benchmarks of which others are a part say nothing.
		for k, b := range s.output {
			if test, ok := strings.CutPrefix(k, e.Package+"."); ok && !benchmark(test) {
				fmt.Fprint(s.out, b)
				s.failed = append(s.failed, k)
				delete(s.output, k)
			}
		}
		if e.FailedBuild == "" && !slices.ContainsFunc(s.failed, func(f string) bool { return strings.HasPrefix(f, e.Package+".") }) {
			s.failed = append(s.failed, e.Package)
		}
	case e.Test == "":
	case e.Action == "fail":
		s.failed = append(s.failed, key)
		if !benchmark(e.Test) {
			fmt.Fprint(s.out, text)
		}
	case e.Action == "skip":
		why := reason(text)
		planned := s.mayskip(key, why)
		if !planned && !benchmark(e.Test) {
			fmt.Fprint(s.out, text)
		}
		s.skipped = append(s.skipped, skipped{key, why, planned})
	default:
		s.passed++
	}
}

func (s *summary) mayskip(key, why string) bool {
	return slices.ContainsFunc(s.allowed, func(a skip) bool { return a.test.MatchString(key) && a.reason.MatchString(why) })
}

// logged is the first line of what a test logs; further ones are indented by inLog.
var logged = regexp.MustCompile(`^    \S+\.go:\d+: (.*)`)

const inLog = "        "

// loggedInChild is the same in the output of a child, which a test may give as its reason.
var loggedInChild = regexp.MustCompile(`^\s*\S+\.go:\d+: (.*)`)

// reason is the last that a skipped test logged. Where that is the output of a child, it is the last that the child's
// test logged.
func reason(text string) string {
	var lines []string
	child := false
	for line := range strings.Lines(text) {
		more := strings.TrimSpace(line)
		if m := logged.FindStringSubmatch(line); m != nil {
			child = strings.Contains(m[1], "=== ")
			lines = []string{m[1]}
		} else if !strings.HasPrefix(line, inLog) || more == "" {
		} else if strings.HasPrefix(more, "=== ") {
			child = true
		} else if m := loggedInChild.FindStringSubmatch(line); child && m != nil {
			lines = []string{m[1]}
		} else if !child || more != "PASS" && !strings.HasPrefix(more, "--- ") {
			lines = append(lines, more)
		}
	}
	return strings.TrimPrefix(strings.Join(lines, "\n"), "skipped in the child: ") // see internal/testproc
}

func (s *summary) print() (ok bool) {
	if len(s.skipped) > 0 {
		fmt.Fprintln(s.out, "skipped:")
	}
	unplanned := 0
	for _, k := range s.skipped {
		note := ""
		if !k.Planned {
			note = " (not on the list)"
			unplanned++
		}
		fmt.Fprintf(s.out, "  %s%s\n      %s\n", k.Test, note, strings.ReplaceAll(k.Reason, "\n", "\n      "))
	}
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped, %d of them not on the list\n", s.passed, len(s.failed), len(s.skipped), unplanned)
	return len(s.failed) == 0 && unplanned == 0 && s.passed > 0
}

func (s *summary) write(path string) error {
	text, err := json.Marshal(struct {
		Passed  int
		Failed  []string
		Skipped []skipped
	}{s.passed, s.failed, s.skipped})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// readSkips reads lines of two regular expressions, of package.Test and of the reason, with a tab
// between them. Empty lines and those that start with # are for people.
func readSkips(path string) (list []skip, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		test, why, ok := strings.Cut(line, "\t")
		if !ok {
			return nil, fmt.Errorf("%s: no tab in %q", path, line)
		}
		a, err1 := regexp.Compile(test)
		b, err2 := regexp.Compile(strings.TrimSpace(why))
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, skip{a, b})
	}
	return list, nil
}
