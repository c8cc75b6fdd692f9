//go:build linux && (amd64 || arm64)

package bench

import (
	"errors"
	"testing"

	"github.com/firsttouch/firsttouch/profiler"
)

// startRig makes a rig that ends with the test.
func startRig(tb testing.TB, pages int) *rig {
	tb.Helper()
	r, err := newRig(pages)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.close(); err != nil {
			tb.Error(err)
		}
	})
	return r
}

func skipUnsupported(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, profiler.ErrNotSupported) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// TestEveryVariant runs one small round of each group: the variants themselves check that every
// touch was observed, once.
func TestEveryVariant(t *testing.T) {
	rig := startRig(t, 1024)
	for _, g := range groups() {
		t.Run(g.title, func(t *testing.T) {
			out, err := g.round(rig, 0)
			if err != nil {
				t.Fatal(err)
			}
			if len(out) != len(g.names) {
				t.Fatalf("%d results of %d variants", len(out), len(g.names))
			}
			for i, r := range out {
				t.Run(g.names[i], func(t *testing.T) {
					if r.skip != "" {
						t.Skip(r.skip)
					}
					if !(r.perPage > 0) {
						t.Errorf("%v ns for each page", r.perPage)
					}
				})
			}
		})
	}
}
