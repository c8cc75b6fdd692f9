package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/internal/vm/wire"
)

func TestConformanceTable(t *testing.T) {
	out := `row        memory     result   why
01_API     device     of a child
--- PASS: TestConformance (1.00s)

Conformance of uffd with Linux 6.12, arm64, pages of 4096 bytes

row        memory     result          why
01_API     device     passed
04_MOVE    anonymous  passed in part  skipped huge pages: none
15_RWP     hugetlb    skipped         this kernel does not offer RWP [0x1,0x2)

3 cells in 15 rows: 1 passed, 1 passed in part, 1 skipped, 0 failed
`
	want := []cell{
		{"01_API", "device", "passed", ""},
		{"04_MOVE", "anonymous", "passed in part", "skipped huge pages: none"},
		{"15_RWP", "hugetlb", "skipped", "this kernel does not offer RWP [0x1,0x2)"},
	}
	if got := conformance(out); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if got := conformance("ok\n"); got != nil {
		t.Errorf("no table became %+v", got)
	}
}

func TestSkipsAreGroupedByReason(t *testing.T) {
	for text, want := range map[string]string{
		"x_test.go:3: no compiler": "no compiler",
		"x_test.go:3: skipped in the child:\nx_test.go:9: UFFDIO_MOVE [0x7f0a,0x7f0b): refused\nPASS": "UFFDIO_MOVE: refused",
	} {
		if got := lastLine(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPageNamesEveryKernelAndProblem(t *testing.T) {
	one := &result{Name: "old", Commit: "abc", Machine: wire.Machine{Release: "5.10.0", PageSizeBytes: 4096}, Doctor: "no | not here"}
	two := &result{Name: "new", Commit: "abc", Machine: wire.Machine{Release: "7.3.4", PageSizeBytes: 16384}}
	two.Conformance = []cell{{"04_MOVE", "anonymous", "skipped", "too old"}}
	two.Tests = testResult{Passed: 7, Failed: []string{"p.TestX"}, Skipped: []skipped{{"p.TestY", "f_test.go:1: no reason", false}}}
	two.Steps = []stepResult{{doctor, wire.End{Status: "exit status 3"}}, {"p", wire.End{Status: "exit status 1"}}}
	text := string(render([]*result{one, two}, []string{"absent"}))
	for _, want := range []string{
		"5.10.0", "7.3.4", "absent: **not run", "16 KiB", `no \| not here`, "new: **p: exit status 1**", "new: **p.TestX failed**",
		"new: **p.TestY skipped without being on the list**", "skipped (1)", "1. too old", "no reason", "new (1)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	// The doctor's status for a kernel on which the profiler does not run is no problem.
	if p := two.problems(); len(p) != 3 {
		t.Errorf("%q", p)
	}
}
