package main

import (
	"fmt"
	"maps"
	"os/exec"
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
		if !strings.HasSuffix(test, "(as a whole)") {
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
	for _, reason := range slices.Sorted(maps.Keys(s.Refused)) {
		fmt.Fprintf(&b, "  not attached, %d times: %s\n", s.Refused[reason], reason)
	}
	for _, n := range s.Notes {
		fmt.Fprintf(&b, "  note: %s\n", n)
	}
	for _, d := range r.differences() {
		fmt.Fprintf(&b, "  differs: %s\n", d)
	}
	return b.String()
}

// page is docs/compatibility.md.
func page(rows []row) string {
	var b strings.Builder
	commit, _ := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	kernel, _ := exec.Command("uname", "-rm").Output()
	fmt.Fprintf(&b, `# Compatibility

The test suites of libraries that map files, from the module proxy and unmodified, with and without an agent that attaches
to every file that they map:

    go run ./e2e/compat -update

It fails when one test has another result. `+"`.ci/run compat`"+` runs a part of it. Tests count with their subtests;
those that fail without the profiler are the library's own affair on this machine, and fail with it too.

Seen at commit %s, %s, Linux %s.

| library | what it is | tests without | tests with | different | files attached | first touches | resolves that failed |
|---|---|---|---|---|---|---|---|
`, strings.TrimSpace(string(commit)), runtime.Version(), strings.TrimSpace(string(kernel)))
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s %s | %s | %s | %s | %d | %d | %d | %d |\n", r.module, r.version, r.about,
			r.without.counts(), r.with.counts(), len(r.differences()), r.seen.Files, r.seen.Faults, r.seen.ResolveErrors)
	}
	for _, r := range rows {
		for _, d := range r.differences() {
			fmt.Fprintf(&b, "\n- %s: %s", r.name, d)
		}
	}
	return b.String()
}
