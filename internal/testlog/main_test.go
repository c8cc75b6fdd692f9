package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// one makes the events of a test.
func one(test, end string, output ...string) string {
	var b strings.Builder
	for _, o := range append([]string{"=== RUN   " + test + "\n"}, output...) {
		b.WriteString(`{"Action":"output","Package":"p","Test":"` + test + `","Output":"` + strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(o) + "\"}\n")
	}
	b.WriteString(`{"Action":"` + end + `","Package":"p","Test":"` + test + "\"}\n")
	return b.String()
}

func TestSummary(t *testing.T) {
	list := filepath.Join(t.TempDir(), "skips.txt")
	if err := os.WriteFile(list, []byte("# for people\n\n^p\\.TestOld$\tneeds Linux\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	allowed, err := readSkips(list)
	if err != nil {
		t.Fatal(err)
	}
	const packageFails = `{"Action":"fail","Package":"p"}` + "\n"
	begun := `{"Action":"output","Package":"p","Test":"TestBegun","Output":"panic: no\n"}` + "\n"
	for _, c := range []struct {
		name, events     string
		ok               bool
		passed, unlisted int
		failed           []string
		printed          string
	}{
		{name: "passes", events: one("TestA", "pass"), ok: true, passed: 1, printed: "1 passed, 0 failed, 0 skipped"},
		{name: "nothing ran", printed: "0 passed"},
		{name: "fails", events: one("TestA", "pass") + one("TestB", "fail", "    b_test.go:1: wrong\n") + packageFails, passed: 1, failed: []string{"p.TestB"}, printed: "b_test.go:1: wrong"},
		{name: "a test ends the process", events: begun + packageFails, failed: []string{"p.TestBegun"}, printed: "panic: no"},
		{name: "a package fails without a test", events: packageFails, failed: []string{"p"}},
		{name: "does not build", events: `{"Action":"build-output","ImportPath":"q","Output":"q.go:1: undefined\n"}` + "\n" + `{"Action":"build-fail","ImportPath":"q"}` + "\n" + `{"Action":"fail","Package":"q","FailedBuild":"q"}` + "\n",
			failed: []string{"q"}, printed: "q.go:1: undefined"},
		{name: "a skip of the list", events: one("TestA", "pass") + one("TestOld", "skip", "    o_test.go:3: needs Linux 6.8\n"), ok: true, passed: 1, printed: "needs Linux 6.8"},
		{name: "another reason", events: one("TestA", "pass") + one("TestOld", "skip", "    o_test.go:3: no time\n"), passed: 1, unlisted: 1, printed: "p.TestOld (not on the list)"},
		{name: "another test", events: one("TestA", "pass") + one("TestOlder", "skip", "    o_test.go:3: needs Linux 6.8\n"), passed: 1, unlisted: 1, printed: "p.TestOlder (not on the list)"},
		{name: "the reason of a child", events: one("TestA", "pass") + one("TestOld", "skip", "    o_test.go:3: skipped in the child: === RUN   TestOld\n", "        o_test.go:9: needs Linux 6.8\n", "        --- SKIP: TestOld\n"),
			ok: true, passed: 1, printed: "\n      needs Linux 6.8\n"},
		{name: "a benchmark", events: one("BenchmarkA", "output", "BenchmarkA-2   \t 100\t 5 ns/op\n"), ok: true, passed: 1, printed: "5 ns/op"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			s, err := readEvents(strings.NewReader(c.events), &out, allowed)
			if err != nil {
				t.Fatal(err)
			}
			ok := s.print()
			unlisted := 0
			for _, k := range s.skipped {
				if !k.Planned {
					unlisted++
				}
			}
			if ok != c.ok || s.passed != c.passed || unlisted != c.unlisted || !slices.Equal(s.failed, c.failed) {
				t.Errorf("ok %v, %d passed, %d not on the list, failed %q; want %v, %d, %d, %q", ok, s.passed, unlisted, s.failed, c.ok, c.passed, c.unlisted, c.failed)
			}
			if !strings.Contains(out.String(), c.printed) {
				t.Errorf("printed %q, want %q in it", out.String(), c.printed)
			}
		})
	}
}

func TestEventsThatEndEarly(t *testing.T) {
	if _, err := readEvents(strings.NewReader(one("TestA", "pass")+`{"Action":`), new(bytes.Buffer), nil); err == nil {
		t.Error("half an event was taken for the end")
	}
}

func TestSkipsWithoutTab(t *testing.T) {
	list := filepath.Join(t.TempDir(), "skips.txt")
	if err := os.WriteFile(list, []byte("^p.TestOld$ needs Linux\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readSkips(list); err == nil || !strings.Contains(err.Error(), "no tab") {
		t.Errorf("%v, want an error about the tab", err)
	}
}
