package uffd

import (
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

func goarch() string { return runtime.GOARCH }

// spawnCell runs the calling test in a child. In there no signal and no collection stops a thread
// that waits for a page, so that each touch is one message, and a thread that waits cannot hold up
// the world.
func spawnCell(t *testing.T) child {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return spawn(t, program, nil, "GODEBUG=asyncpreemptoff=1", "GOGC=off")
}

var testLog = regexp.MustCompile(`^\s+\S+_test\.go:\d+: (.*)$`)

// skipReason is what the child said when it skipped, on one line.
func skipReason(out string) string {
	reason := ""
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		if m := testLog.FindStringSubmatch(line); m != nil && !strings.Contains(line, leftOutMark) {
			reason = m[1]
		}
		if strings.Contains(line, "--- SKIP") {
			break
		}
	}
	return reason
}
