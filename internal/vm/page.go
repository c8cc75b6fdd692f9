package main

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// render writes the page. It has tables by kernel: what runs, what userfaultfd offers, the conformance
// of uffd, and what was skipped for which reason.
func render(all []*result, missing []string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Kernels

<!-- Written by .ci/vm. Do not edit. -->

Tests on kernels of Debian, each in a virtual machine with %s processors (%s) and temporary files on ext4.
Written by `+"`.ci/vm`"+`, from commit %s. It ran

%s
`, cpus, emulation(all), all[0].Commit, packages())
	t := table{head: []string{"", "Linux", "architecture", "page", "the doctor says", "passed", "failed", "skipped"}}
	for _, r := range all {
		t.add(r.Name, r.Machine.Release, r.Machine.Arch, fmt.Sprintf("%d KiB", r.Machine.PageSizeBytes>>10), r.Doctor,
			fmt.Sprint(r.Tests.Passed), fmt.Sprint(len(r.problems())), fmt.Sprint(len(r.Tests.Skipped)))
	}
	t.write(&b)
	for _, r := range all {
		for _, p := range r.problems() {
			fmt.Fprintf(&b, "\n%s: **%s**\n", r.Name, p)
		}
	}
	for _, name := range missing {
		fmt.Fprintf(&b, "\n%s: **not run at this commit**\n", name)
	}
	b.WriteString("\n## What userfaultfd offers\n\n")
	renderFeatures(&b, all)
	renderConformance(&b, all)
	renderSkips(&b, all)
	return b.Bytes()
}

func packages() string {
	var b strings.Builder
	for _, t := range tests {
		what := "all tests"
		if t.run != "." {
			what = "`-run '" + t.run + "'`"
		}
		fmt.Fprintf(&b, "- `%s`: %s\n", t.dir, what)
	}
	return b.String()
}

func emulation(all []*result) string {
	var names []string
	for _, r := range all {
		if !slices.Contains(names, r.Accel) {
			names = append(names, r.Accel)
		}
	}
	return "qemu, " + strings.Join(names, " and ")
}

func renderFeatures(b *bytes.Buffer, all []*result) {
	var names []string
	has := make(map[[2]string]string)
	for _, r := range all {
		for _, f := range r.Features {
			if !slices.Contains(names, f.Name) {
				names = append(names, f.Name)
			}
			has[[2]string{f.Name, r.Name}] = f.Available
		}
	}
	t := table{head: append([]string{"feature"}, kernelNames(all)...)}
	for _, n := range names {
		line := []string{n}
		for _, r := range all {
			line = append(line, has[[2]string{n, r.Name}])
		}
		t.add(line...)
	}
	t.write(b)
}

func renderConformance(b *bytes.Buffer, all []*result) {
	var lines [][2]string
	cells := make(map[[3]string]cell)
	for _, r := range all {
		for _, c := range r.Conformance {
			if at := [2]string{c.Row, c.Memory}; !slices.Contains(lines, at) {
				lines = append(lines, at)
			}
			cells[[3]string{c.Row, c.Memory, r.Name}] = c
		}
	}
	if len(lines) == 0 {
		return
	}
	b.WriteString("\n## Conformance of uffd\n\nThe rows are those of `go test ./uffd -run Conformance -v`. A number is a note below.\n\n")
	t := table{head: append([]string{"row", "memory"}, kernelNames(all)...)}
	var notes []string
	for _, l := range lines {
		line := l[:]
		for _, r := range all {
			c := cells[[3]string{l[0], l[1], r.Name}]
			text := c.Result
			if why := addresses.ReplaceAllString(c.Why, ""); why != "" {
				i := slices.Index(notes, why)
				if i < 0 {
					i, notes = len(notes), append(notes, why)
				}
				text += fmt.Sprintf(" (%d)", i+1)
			}
			line = append(line, text)
		}
		t.add(line...)
	}
	t.write(b)
	b.WriteString("\n")
	for i, n := range notes {
		fmt.Fprintf(b, "%d. %s\n", i+1, n)
	}
}

// renderSkips groups skipped tests by reason. The cells of the conformance suite are in its table.
func renderSkips(b *bytes.Buffer, all []*result) {
	type group struct {
		reason string
		on     []string // kernels with numbers of tests
	}
	var groups []group
	for _, r := range all {
		count := make(map[string]int)
		var order []string
		for _, s := range r.Tests.Skipped {
			if strings.Contains(s.Test, ".TestConformance/") {
				continue
			}
			why := lastLine(s.Reason)
			if count[why]++; count[why] == 1 {
				order = append(order, why)
			}
		}
		for _, why := range order {
			i := slices.IndexFunc(groups, func(g group) bool { return g.reason == why })
			if i < 0 {
				i, groups = len(groups), append(groups, group{reason: why})
			}
			groups[i].on = append(groups[i].on, fmt.Sprintf("%s (%d)", r.Name, count[why]))
		}
	}
	b.WriteString("\n## What was skipped\n\n")
	t := table{head: []string{"reason", "kernels, and how many tests"}}
	for _, g := range groups {
		t.add(g.reason, strings.Join(g.on, ", "))
	}
	t.write(b)
}

// lastLine is the reason itself: what comes before it is the log of a child. The place in the source
// goes.
func lastLine(reason string) string {
	line := reason
	for l := range strings.Lines(reason) {
		if l = strings.TrimSpace(l); l != "" && l != "PASS" && l != "FAIL" {
			line = l
		}
	}
	if place, rest, ok := strings.Cut(line, ": "); ok && strings.Contains(place, "_test.go:") {
		line = rest
	}
	return addresses.ReplaceAllString(line, "")
}

// addresses differ from run to run.
var addresses = regexp.MustCompile(` ?\[0x[0-9a-f]+,0x[0-9a-f]+\)`)

func kernelNames(all []*result) (names []string) {
	for _, r := range all {
		names = append(names, r.Name)
	}
	return names
}
