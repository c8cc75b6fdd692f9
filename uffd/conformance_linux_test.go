package uffd

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// The conformance suite holds this package and the running kernel against each other, row by row of
// the kernel's own self-tests, tools/testing/selftests/mm/uffd-*.c. Each cell, a row for one kind
// of memory, runs in a process of its own, and the table comes last:
//
//	go test ./uffd -run Conformance -v
//
// FIRSTTOUCH_STRESS=10m makes the stress row take that long for each kind of memory.

// row is one line of the checklist.
type row struct {
	name  string
	kinds []string
	run   func(t *testing.T, kind MemoryKind)
}

// fiveKinds are those in which the kernel's paths differ.
var fiveKinds = []string{
	string(MemoryAnonymous), string(MemoryMemfd), string(MemoryMemfdPrivate),
	string(MemoryHugetlb), string(MemoryHugetlbPrivate),
}

var rows = []row{
	{"API", []string{PathDevice.String(), PathSyscall.String(), PathUserModeOnly.String()}, conformAPI},
	{"REGISTER", append([]string{string(MemoryShmem), string(MemoryFile)}, fiveKinds...), conformRegister},
	{"ZEROPAGE", fiveKinds, conformZeropage},
	{"MOVE", fiveKinds, conformMove},
	{"WP_fork", fiveKinds, conformWPFork},
	{"WP_unpopulated", fiveKinds, conformWPUnpopulated},
	{"MINOR", fiveKinds, conformMinor},
	{"SIGBUS", fiveKinds, conformSigbus},
	{"events", fiveKinds, conformEvents},
	{"POISON", fiveKinds, conformPoison},
	{"event_unread", fiveKinds, conformEventUnread},
	{"WP_mremap", fiveKinds, conformWPMremap},
	{"PAGEMAP_SCAN", append([]string{string(MemoryFile)}, fiveKinds...), conformPagemapScan},
	{"stress", fiveKinds, conformStress},
	{"RWP", fiveKinds, conformRWP},
	{"non_cooperative", fiveKinds, conformNonCooperative},
}

// outcome is the line of one cell.
type outcome struct{ row, kind, result, why string }

var outcomes []outcome

func TestConformance(t *testing.T) {
	outcomes = nil
	if os.Getenv(childEnv) == "" {
		testproc.HugePages(t, hugePagesWanted, false)
	}
	for i, r := range rows {
		name := fmt.Sprintf("%02d_%s", i+1, r.name)
		t.Run(name, func(t *testing.T) {
			for _, kind := range r.kinds {
				t.Run(kind, func(t *testing.T) {
					if os.Getenv(childEnv) == t.Name() {
						inChild(t)
						r.run(t, MemoryKind(kind))
						return
					}
					c := spawnCell(t)
					// Deferred, since judge ends a test that fails or skips.
					defer func() {
						o := outcome{row: name, kind: kind}
						o.result, o.why = result(t, c.out)
						outcomes = append(outcomes, o)
					}()
					c.judge(t, nil)
				})
			}
		})
	}
}

// result reads a cell's line off the finished test and its child's output.
func result(t *testing.T, out string) (result, why string) {
	var left []string
	for line := range strings.Lines(out) {
		if _, what, ok := strings.Cut(line, leftOutMark); ok {
			left = append(left, strings.TrimSpace(what))
		}
	}
	switch {
	case t.Failed():
		return "FAILED", "see above"
	case t.Skipped():
		return "skipped", skipReason(out)
	case len(left) > 0:
		return "passed in part", "skipped " + strings.Join(left, "; ")
	}
	return "passed", ""
}

const leftOutMark = "left out: "

// leaveOut notes that a part of a cell cannot run here; the table shows it.
func leaveOut(t *testing.T, part string, reason any) {
	t.Helper()
	t.Logf("%s%s: %v", leftOutMark, part, reason)
}

// printConformance writes the table, if the suite ran.
func printConformance() {
	if len(outcomes) == 0 || !testing.Verbose() {
		return
	}
	count := map[string]int{}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nConformance of uffd with Linux %s, %s, pages of %d bytes\n\nrow\tmemory\tresult\twhy\n", kernelRelease(), goarch(), PageSize())
	for _, o := range outcomes {
		count[o.result]++
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", o.row, o.kind, o.result, o.why)
	}
	_ = w.Flush()
	fmt.Printf("\n%d cells in %d rows: %d passed, %d passed in part, %d skipped, %d failed\n",
		len(outcomes), len(rows), count["passed"], count["passed in part"], count["skipped"], count["FAILED"])
}
