package testproc

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	skipperEnv = "FIRSTTOUCH_TEST_SKIPPER" // what the child is to skip
	runnerEnv  = "FIRSTTOUCH_TEST_RUNNER"
)

// TestSkipper is the child of a child: it skips what it is told to.
func TestSkipper(t *testing.T) {
	what, child := os.LookupEnv(skipperEnv)
	if !child {
		t.Skip("runs in a child")
	}
	if what == "test" {
		t.Skip("no test")
	}
	t.Run("one", func(t *testing.T) {
		t.Log("    --- SKIP: TestSkipper/none (0.00s)")
		if what == "one" || what == "all" {
			t.Skip("no one")
		}
	})
	t.Run("more", func(t *testing.T) {
		t.Run("two", func(t *testing.T) {
			if what == "all" {
				t.Skip("no two:\nnone")
			}
		})
	})
}

// TestRunner is the child that runs the other.
func TestRunner(t *testing.T) {
	what, child := os.LookupEnv(runnerEnv)
	if !child {
		t.Skip("runs in a child")
	}
	name, what, _ := strings.Cut(what, " ")
	Run(t, name, []string{skipperEnv + "=" + what}, time.Minute)
}

// What a child skips the caller skips too, with its reasons.
func TestRunTellsOfSkips(t *testing.T) {
	for what, want := range map[string][]end{
		"TestSkipper nothing": {{"PASS", "TestRunner"}},
		"TestSkipper test":    {{"SKIP", "TestRunner"}},
		"TestSkipper one":     {{"PASS", "TestRunner"}, {"SKIP", "TestRunner/one"}},
		"TestSkipper all":     {{"SKIP", "TestRunner"}, {"SKIP", "TestRunner/one"}, {"SKIP", "TestRunner/more/two"}},
		"TestAbsent nothing":  {{"FAIL", "TestRunner"}},
	} {
		r := Do(t, "TestRunner", []string{runnerEnv + "=" + what}, time.Minute)
		if got := r.ends(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v\n%s", what, got, want, r.Out)
		}
	}
	r := Do(t, "TestRunner", []string{runnerEnv + "=TestSkipper all"}, time.Minute)
	nested := Result{Out: "=== RUN   TestX\n    x_test.go:1: === RUN   TestY\n            y_test.go:2: no y\n        --- SKIP: TestY (0.00s)\n        PASS\n--- SKIP: TestX (0.00s)\n"}
	if got := nested.Skips(); !slices.Equal(got, []string{"no y"}) {
		t.Errorf("%q", got)
	}
	want := []string{"every subtest was skipped in the child: TestSkipper/one: no one\nTestSkipper/more/two: no two:\nnone", "no one", "no two:\nnone"}
	if got := r.Skips(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q\n%s", got, want, r.Out)
	}
}
