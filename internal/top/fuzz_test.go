package top

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/firsttouch/firsttouch/agent"
)

// smallMost is how many bytes of an input are taken. A byte may make so many: objectLeast bounds it.
const (
	smallMost     = 64 << 10
	allocatedMost = 256 << 20
)

// FuzzSnapshot: whatever an agent answers, looking at it ends in bounded memory, with an error that names the
// agent, or with two looks that are lines of printable text, as wide as the terminal.
func FuzzSnapshot(f *testing.F) {
	for _, d := range []*agent.Document{document(time.Second, 5, 7), document(2*time.Second, 1<<60, 3), {}} {
		d.Schema, d.Active = agent.DocumentSchema, true
		text, err := json.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, text)
		f.Add(text[:len(text)/2], text)
	}
	head := fmt.Sprintf(`{"schema":%q,"active":true,`, agent.DocumentSchema)
	for _, rest := range []string{
		`"regions":[` + strings.Repeat("{},", 1000) + `{}]}`, `"groups":[` + strings.Repeat("{},", 1000) + `{}]}`,
		`"stacks":[{"id":2,"frames":[]},{"id":1}],"groups":[{"stack":1,"faults":18446744073709551615,"stall_ns":-9223372036854775808}]}`,
		`"notes":["\u001b]0;a\u0007\n"],"regions":[{"name":"\u001b[2J","mapped_bytes":-1}]}`,
		`"start":"9999-12-31T23:59:59Z","end":"0001-01-01T00:00:00Z"}`, strings.Repeat(`"stats":{"x":[`, 5000),
	} {
		f.Add([]byte(head+rest), []byte(head+rest))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var looks [2]*agent.Document
		for i, text := range [][]byte{first, second} {
			d, err := decode("agent:1", text[:min(len(text), smallMost)])
			if err != nil {
				if d != nil || !strings.HasPrefix(err.Error(), "agent:1: ") {
					t.Errorf("%v, with a snapshot: %v", err, d != nil)
				}
				return
			}
			looks[i] = d
		}
		const columns, rows = 80, 25
		var out strings.Builder
		if err := show(Options{Agent: "agent:1", Out: &out, Screen: func() (int, int) { return columns, rows }}, looks[0], looks[1]); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > allocatedMost {
			t.Errorf("%d bytes allocated for answers of %d and %d", n, len(first), len(second))
		}
		lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(out.String(), home), below), wipe)
		if len(lines) > rows {
			t.Errorf("%d lines on a screen of %d", len(lines), rows)
		}
		for _, l := range lines {
			if i := strings.IndexFunc(l, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 || len([]rune(l)) > columns {
				t.Errorf("%q", l)
			}
		}
	})
}
