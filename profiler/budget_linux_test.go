//go:build linux && (amd64 || arm64)

package profiler

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/budget"
)

// A region that is to be observed more, and whose memory cannot tell what was touched meanwhile, is armed again
// when nobody else does it.
func TestMoreIsObservedOnceArmed(t *testing.T) {
	p := newProfiler(t)
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, make([]byte, 256*os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := p.MapFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, share := range []float64{0.25, 1} {
		must(t, patiently(func() error { return r.SetSampling(share) }))
	}
	if share, wanted := r.Observed(); share != 0.25 || wanted != 1 {
		t.Fatalf("observed %v, wanted %v", share, wanted)
	}
	steward := newSteward(p)
	steward.rearm()
	if share, wanted := r.Observed(); share != 1 || wanted != 1 {
		t.Errorf("observed %v, wanted %v", share, wanted)
	}
}

// Fewer stacks are less, too: the state says so, and the counts of cuts and raises have it.
func TestFewerStacksAreACut(t *testing.T) {
	p := newProfiler(t)
	k := newSteward(p)
	k.control = budget.New(1, true, 0, 0)
	k.limit = costLimit{share: 1}
	if k.control.Look(4*time.Second, 6.5); !k.control.Without() || k.control.Share() != 1 {
		t.Fatalf("the controller does without stacks: %v, observes %v; want true, 1", k.control.Without(), k.control.Share())
	}
	k.changed(1, 1, false)
	k.report()
	if b := p.Budget(); b.Cuts != 1 || b.Share != 1 || !strings.Contains(b.State, "stacks are taken of at most") {
		t.Errorf("%+v, want one cut, of stacks alone", b)
	}
	k.control = budget.New(1, true, 0, 0)
	k.changed(1, 1, true)
	k.report()
	if b := p.Budget(); b.Cuts != 1 || b.Raises != 1 || b.State != "everything is observed" {
		t.Errorf("%+v, want one cut and one raise", b)
	}
}
