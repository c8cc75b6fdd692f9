package top

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/profiler"
)

// smallMost is how many bytes of an input are taken, and allocatedMost bounds what is made of two.
const (
	smallMost     = 64 << 10
	allocatedMost = 512 << 20
)

// FuzzLook: whatever an agent answers, looking at it ends in bounded memory, with an error that names the
// agent, or with two looks that are lines of printable text, as wide as the terminal.
func FuzzLook(f *testing.F) {
	for _, name := range []string{"/x/data.db", "\x1b[2J"} {
		b := profiler.NewSnapshotBuilder()
		start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		b.SetTime(start, start.Add(time.Second), time.Second, 2*time.Second)
		r := b.AddRegion(profiler.RegionStats{Name: name, Granule: 4096, Size: 1 << 20})
		b.AddFault(profiler.Fault{Region: r, Stall: 1})
		b.SetStats(profiler.Stats{Notes: []string{"\x1b]0;a\u0007\n"}})
		var text bytes.Buffer
		if err := recording.Write(&text, recording.New(b.Snapshot(), "test")); err != nil {
			f.Fatal(err)
		}
		f.Add(text.Bytes(), text.Bytes())
		f.Add(text.Bytes()[:text.Len()/2], text.Bytes())
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var looks [2]*summary.Summary
		for i, text := range [][]byte{first, second} {
			s, err := decode("agent:1", bytes.NewReader(text[:min(len(text), smallMost)]))
			if err != nil {
				if s != nil || !strings.HasPrefix(err.Error(), "agent:1: ") {
					t.Errorf("%v, with a look: %v", err, s != nil)
				}
				return
			}
			looks[i] = s
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
