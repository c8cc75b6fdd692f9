package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/internal/touchorder"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
)

// TestPrefetchedDemo: what the recording touched is read ahead, and the next start with the same requests touches the same and finds it there.
func TestPrefetchedDemo(t *testing.T) {
	uffdtest.Need(t)
	o := small(t)
	if onTmpfs(t, filepath.Dir(o.Out)) {
		t.Skip("the temporary directory is on tmpfs, where nothing is ever cold")
	}
	o.Prefetch = true
	sum := run(t, o)
	p := sum.Prefetch
	if p == nil || len(p.Starts) != 3 || p.Bytes != sum.Profile.Regions[0].Touched || p.Ranges == 0 {
		t.Fatalf("%+v, and %d bytes were touched", p, sum.Profile.Regions[0].Touched)
	}
	for i, s := range p.Starts {
		if s.Name != startNames[i] || s.Requests != o.Requests || s.First <= 0 || s.Elapsed < s.First || (s.Ready > 0) != (i == startPrefetch) {
			t.Errorf("start %+v", s)
		}
	}
	if p.Same.Touches != sum.With.Phases[0].Service.Faults || p.Same.InVain != 0 || p.Same.Beside != 0 || p.Same.Found+p.Same.Waited != p.Same.Touches || p.Same.Found == 0 {
		t.Errorf("the same requests: %+v, and the recording has %d", p.Same, sum.With.Phases[0].Service.Faults)
	}
	if p.Other.Touched+p.Other.InVain != p.Bytes || p.Other.Touches == 0 {
		t.Errorf("other requests: %+v of %d bytes", p.Other, p.Bytes)
	}
	f, err := os.Open(filepath.Join(o.Out, fileOrder))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if order, err := touchorder.Read(f); err != nil || order.Bytes() != p.Bytes || order.Files[0].Path != sum.Index.Path {
		t.Errorf("%s: %v", fileOrder, err)
	}
	var text bytes.Buffer
	if err := Render(&text, sum, o.Out, "firsttouch"); err != nil || !strings.Contains(text.String(), "cold, with prefetch") {
		t.Errorf("%v\n%s", err, &text)
	}
}

func TestPrefetchedDemoIsNotServed(t *testing.T) {
	o := small(t)
	o.Prefetch, o.Serve = true, true
	if err := Execute(context.Background(), o); !errors.Is(err, ErrUsage) {
		t.Errorf("%v", err)
	}
}
