package doctor

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

const (
	waysPage = "../../docs/ways.md"
	waysHead = "<!-- made by: go test ./internal/doctor -run TestWaysPage -update -->\n"
	waysMark = "ways: "
)

// docs/ways.md has what each way sees of each kind of memory, as root and as a user without privileges.
func TestWaysPage(t *testing.T) {
	const env = "FIRSTTOUCH_TEST_WAYS"
	if os.Getenv(env) != "" {
		text, err := json.Marshal(tryWays(t.TempDir()))
		if err != nil {
			t.Fatal(err)
		}
		println(waysMark + string(text))
		return
	}
	if os.Getuid() != 0 {
		t.Skip("only root can start a process as another user")
	}
	trial := func(opts ...testproc.Option) (ways []Way) {
		out := testproc.Run(t, t.Name(), []string{env + "=1"}, time.Minute, opts...)
		_, text, _ := strings.Cut(out, waysMark)
		text, _, _ = strings.Cut(text, "\n")
		if err := json.Unmarshal([]byte(text), &ways); err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		return ways
	}
	root, nobody := trial(), trial(testproc.AsUser(65534))
	for _, w := range append(root, nobody...) {
		if w.Reason != "" {
			t.Skip(w.Reason)
		}
	}
	if root[0].Failing || !nobody[0].Failing {
		t.Skip("Stats.UserModeOnly does not tell root from an ordinary user")
	}
	table := "| first touches of | thread | thread, user mode only | signal | observe | observe, ordinary user |\n|---|---|---|---|---|---|\n"
	for i, s := range root[0].Seen {
		cells := []string{s.Kind}
		for _, w := range []Way{root[0], nobody[0], root[1], root[2], nobody[2]} {
			cell := w.cell(i)
			if strings.Contains(cell, " of ") {
				cell = "some"
			}
			cells = append(cells, cell)
		}
		table += "| " + strings.Join(cells, " | ") + " |\n"
		if a, b := root[1].cell(i), nobody[1].cell(i); a != b {
			t.Errorf("%s: by signal root has %s and an ordinary user %s", s.Kind, a, b)
		}
	}
	page, err := os.ReadFile(waysPage)
	if err != nil {
		t.Fatal(err)
	}
	text, old, _ := strings.Cut(string(page), waysHead)
	if want := text + waysHead + "\n" + table; flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(waysPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(page) != want {
		t.Errorf("docs/ways.md has\n%s\nwant\n%s", old, table)
	}
}
