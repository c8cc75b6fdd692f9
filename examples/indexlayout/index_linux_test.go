package indexlayout

import (
	"path/filepath"
	"testing"

	"github.com/firsttouch/firsttouch/exporter/touchtest"
)

const records = 4000

func open(t testing.TB, l Layout) (ix *Index, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "index")
	if err := Write(path, records, l); err != nil {
		t.Fatal(err)
	}
	ix, err := Open(path, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ix.Close() })
	return ix, path
}

func lookup(t testing.TB, ix *Index) {
	if got, want := string(ix.Lookup(Key(1234))), "the value of record 1234"; got != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

// TestLayout is the guard: a lookup may touch keys, and the value that it returns. It fails where somebody moves the values to the keys.
func TestLayout(t *testing.T) {
	ix, path := open(t, KeysTogether)
	keys, keysLength := ix.Keys()
	value, valueLength := ix.Value(1234)
	touchtest.Run(t, touchtest.File(path), func() { lookup(t, ix) },
		touchtest.MaxFaults(6),
		touchtest.Only(touchtest.Range{Offset: keys, Length: keysLength}, touchtest.Range{Offset: value, Length: valueLength}))
}

// TestOtherLayout is how one sees that the guard guards something: the other layout gives the same answer, and touches more.
func TestOtherLayout(t *testing.T) {
	ix, path := open(t, KeysTogether)
	good := touchtest.Run(t, touchtest.File(path), func() { lookup(t, ix) })
	ix, path = open(t, ValuesBesideKeys)
	bad := touchtest.Run(t, touchtest.File(path), func() { lookup(t, ix) })
	if bad.Faults <= good.Faults {
		t.Errorf("%d pages are touched with the keys together, and %d with the values beside them", good.Faults, bad.Faults)
	}
}

// BenchmarkLookup is for benchstat: go test -bench . -benchtime 100x ./examples/indexlayout
func BenchmarkLookup(b *testing.B) {
	for name, l := range map[string]Layout{"keys together": KeysTogether, "values beside keys": ValuesBesideKeys} {
		b.Run(name, func(b *testing.B) {
			ix, path := open(b, l)
			touchtest.Benchmark(b, touchtest.File(path), func() { lookup(b, ix) })
		})
	}
}
