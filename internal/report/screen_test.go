package report_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Everything that is rendered fits the terminal, down to 60 columns, and says what it left out.
func TestScreen(t *testing.T) {
	for _, columns := range []int{60, 80, 100, 132} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			var out bytes.Buffer
			w := &report.Screen{W: &out, Columns: columns}
			sum := summary.Build(snapshot(), summary.Listed(requests()), summary.DefaultLimits())
			for i := range sum.Requests.Slowest {
				sum.Requests.Slowest[i].TraceID = strings.Repeat("0123456789abcdef", 2)
			}
			sum.Callers[0].From = "github.com/somebody/with/a/long/path/indexer.(*Reader[...]).eachPostingOfTheList.func1"
			if err := report.Render(w, sum); err != nil {
				t.Fatal(err)
			}
			if err := report.RenderDocument(w, report.Of(recorded(), "x", "", summary.DefaultLimits())); err != nil {
				t.Fatal(err)
			}
			if err := report.RenderComparison(w, report.Compare(recorded(), touching(4096, nil), "before.ftr", "after.ftr", report.ByStall, 10)); err != nil {
				t.Fatal(err)
			}
			if err := report.RenderWorkingSets(w, summary.WorkingSets(workingSets()), 10); err != nil {
				t.Fatal(err)
			}
			for _, line := range strings.Split(out.String(), "\n") {
				if n := text.StringWidthWithoutEscSequences(line); n > columns {
					t.Errorf("%d columns: %s", n, line)
				}
			}
			for _, want := range []string{"/x/slow", "nightly compaction", "index.db", "Trust and cost"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing from\n%s", want, &out)
				}
			}
			if columns < 100 && !strings.Contains(out.String(), "no room for: ") {
				t.Errorf("what was left out is not named\n%s", &out)
			}
		})
	}
}

func TestScreenWrapsText(t *testing.T) {
	var out bytes.Buffer
	w := &report.Screen{W: &out, Columns: 20}
	in := "  a note of the engine that is long\n\nshort\nonewordthatislongerthanthescreen after\n"
	if n, err := w.Write([]byte(in)); n != len(in) || err != nil {
		t.Fatal(n, err)
	}
	want := "  a note of the\n    engine that is\n    long\n\nshort\nonewordthatislongerthanthescreen\nafter\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}
