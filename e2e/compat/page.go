package main

import (
	"fmt"
	"iter"
	"maps"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// differences lists the tests whose results differ.
func (r row) differences() (out []string) {
	all := maps.Clone(r.without)
	maps.Copy(all, r.with)
	for _, test := range slices.Sorted(maps.Keys(all)) {
		if a, b := r.without[test], r.with[test]; a != b {
			out = append(out, fmt.Sprintf("%s: %q without, %q with", test, a, b))
		}
	}
	return out
}

// same reports whether the profiler changed nothing and saw something.
func (r row) same() bool {
	return len(r.differences()) == 0 && len(r.with) > 1 && r.seen.Files > 0 && r.seen.Faults > 0 &&
		r.seen.Dropped == 0 && r.seen.ResolveErrors == 0
}

func (o outcome) counts() string {
	n := map[string]int{}
	for test, v := range o {
		if !strings.HasSuffix(test, whole) {
			n[v]++
		}
	}
	return fmt.Sprintf("%d passed, %d failed, %d skipped", n["pass"], n["fail"], n["skip"])
}

func (r row) String() string {
	var b strings.Builder
	s := r.seen
	fmt.Fprintf(&b, "%s %s\n  without: %s\n  with:    %s\n", r.module, r.version, r.without.counts(), r.with.counts())
	fmt.Fprintf(&b, "  %d of %d mappings attached, of %d files; %d first touches, %d dropped, %d resolves failed\n",
		s.Attached, s.Mappings, s.Files, s.Faults, s.Dropped, s.ResolveErrors)
	for reason, times := range r.reasons() {
		fmt.Fprintf(&b, "  not attached, %d times: %s\n", times, reason)
	}
	for _, n := range s.Notes {
		fmt.Fprintf(&b, "  note: %s\n", n)
	}
	for _, d := range r.differences() {
		fmt.Fprintf(&b, "  differs: %s\n", d)
	}
	return b.String()
}

// whole stands for the test binary as a whole among its tests.
const whole = "(as a whole)"

// page is docs/compatibility.md.
func page(rows []row) string {
	var b strings.Builder
	commit, _ := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	kernel, _ := exec.Command("uname", "-rm").Output()
	fmt.Fprintf(&b, `# Compatibility

The test suites of other people's libraries that map files, with and without the profiler attached to every mapping that
they make. The libraries come from the module proxy and are not modified; both runs use one test binary, on one machine, one after the other.
This page is written by

    go run ./e2e/compat -update

which fails when one test has another result in the second run than in the first, or when nothing was attached and touched, a record was dropped, or a page
could not be restored. `+"`go run ./e2e/compat -quick`"+` runs a part of it, as `+"`.ci/run compat`"+` does. Names behind it choose libraries.

How a mapping is attached: the test binaries are built with an overlay of the standard library (e2e/compat/overlay.go), in which
a successful mmap(2) calls the wrapper, a file that is added to the package's tests (e2e/compat/wrap.go.txt). It attaches the mapping
before the library has its address, so that mappings that live for a millisecond are profiled too.
In the first run the call is there and does nothing.

Seen at commit %s, %s, Linux %s, %d processors.

| library | without the profiler | with it | results that differ | files | mappings attached | first touches | dropped | failed |
|---|---|---|---|---|---|---|---|---|
`, strings.TrimSpace(string(commit)), runtime.Version(), strings.TrimSpace(string(kernel)), runtime.NumCPU())
	for _, r := range rows {
		s := r.seen
		fmt.Fprintf(&b, "| %s %s | %s | %s | %d | %d | %d of %d | %d | %d | %d |\n", r.module, r.version,
			r.without.counts(), r.with.counts(), len(r.differences()), s.Files, s.Attached, s.Mappings, s.Faults, s.Dropped, s.ResolveErrors)
	}
	b.WriteString(`
Tests count with their subtests. One that fails in both runs is the library's own affair on this machine. Files count once for each process, and
a file that has the inode of one before it counts with that one. A mapping is attached with all others of its file, which are given back
first. "Dropped" are first touches whose record was lost, "failed" pages that could not be restored.

What was run:

`)
	for _, r := range rows {
		fmt.Fprintf(&b, "- %s, %s:\n", r.name, r.about)
		for _, s := range r.suites {
			fmt.Fprintf(&b, "  - package `%s`", s.path)
			if r.short {
				b.WriteString(" with `-short`")
			}
			if s.only != "" {
				fmt.Fprintf(&b, ", only `%s`: %s", s.only, s.why)
			}
			b.WriteString("\n")
			for _, o := range s.leave {
				fmt.Fprintf(&b, "  - left out `%s`: %s\n", o.tests, o.why)
			}
		}
		if n := len(r.seen.Refused); n > 0 {
			fmt.Fprintf(&b, "  - %d mappings were not attached, and are plain memory:\n", r.seen.Mappings-r.seen.Attached)
			for reason, times := range r.reasons() {
				fmt.Fprintf(&b, "    - %d: %s\n", times, reason)
			}
		}
		for _, d := range r.differences() {
			fmt.Fprintf(&b, "  - differs: %s\n", d)
		}
		if r.failing() != nil {
			fmt.Fprintf(&b, "  - fail without the profiler: %s\n", strings.Join(r.failing(), ", "))
		}
	}
	return b.String()
}

// quoted is a name in a reason, of a file in a temporary directory.
var quoted = regexp.MustCompile(`"[^"]*"`)

// reasons are why mappings were not attached, without the names of files.
func (r row) reasons() iter.Seq2[string, int] {
	sum := map[string]int{}
	for reason, n := range r.seen.Refused {
		sum[quoted.ReplaceAllString(reason, "...")] += n
	}
	return func(yield func(string, int) bool) {
		for _, reason := range slices.Sorted(maps.Keys(sum)) {
			if !yield(reason, sum[reason]) {
				return
			}
		}
	}
}

// failing lists the tests that fail without the profiler.
func (r row) failing() (out []string) {
	for _, test := range slices.Sorted(maps.Keys(r.without)) {
		if r.without[test] == "fail" && !strings.HasSuffix(test, whole) {
			out = append(out, test)
		}
	}
	return out
}
