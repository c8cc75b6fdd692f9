package index_test

import (
	"fmt"
	"testing"

	"github.com/firsttouch/firsttouch/exporter/touchtest"
)

// TestRareLookupTouchesFewPages: what the demo shows rests on it that a request needs the pages of its own answer only. A lookup that scanned a
// bucket, or an index whose postings were scattered, would be found here and by no test of answers.
func TestRareLookupTouchesFewPages(t *testing.T) {
	files := make(map[string]string)
	for i := range 200 {
		text := fmt.Sprintf("package p%d\n\nvar rare%d int\n", i, i)
		for j := range 60 {
			text += fmt.Sprintf("\nfunc name%d(common int) int { return common + other%d + unique%d }\n", j%7, j, i*60+j)
		}
		files[fmt.Sprintf("p%d/file.go", i)] = text
	}
	ix, path := openTreeAt(t, writeTree(t, files))
	lookup := func(name string, count int) func() {
		return func() {
			if o, err := ix.Lookup(name, 10); err != nil || o.Count != count {
				t.Errorf("%s: %+v, %v", name, o, err)
			}
		}
	}
	// The pages of the two metas, and the way down from the roots of four buckets, of two or three levels each.
	rare := touchtest.Run(t, touchtest.File(path), lookup("rare77", 1), touchtest.MaxFaults(16))
	common := touchtest.Run(t, touchtest.File(path), lookup("common", 200*120))
	if common.Faults <= 2*rare.Faults {
		t.Errorf("a name in 200 files touches %d pages and one in a single file %d: the limit proves nothing", common.Faults, rare.Faults)
	}
	t.Logf("%d pages for a rare name, %d for a common one", rare.Faults, common.Faults)
}
