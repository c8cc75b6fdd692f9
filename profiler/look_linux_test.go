//go:build linux && (amd64 || arm64)

package profiler

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// What a look has found is observed when Look returns, by who watches and by the regions that are there. It reads the list of
// mappings once for all of them, and for what is attached by it.
func TestLook(t *testing.T) {
	p := newProfiler(t)
	old, fresh := diskFile(t, 4*pageSize), diskFile(t, 4*pageSize)
	mapFile(t, old, 4*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	r, err := p.AttachFile(old)
	if err != nil {
		t.Fatal(err)
	}
	found := make(chan error, 100)
	var second *Region
	p.Watch(func(l *Look) {
		for f, as := range l.Files() {
			if f.Path != fresh || second != nil {
				continue
			}
			if !as.Readable || as.Writable || as.Code {
				t.Errorf("%s is mapped as %+v", fresh, as)
			}
			var err error
			second, err = l.AttachFile(fresh)
			found <- err
		}
	})
	if err := p.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(found) != 0 {
		t.Fatal("a file was found that is not mapped")
	}
	mapFile(t, old, 4*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	mapFile(t, fresh, 4*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	if err := p.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		t.Fatalf("the file that was mapped before was found %d times", len(found))
	}
	if err := <-found; err != nil {
		t.Fatal(err)
	}
	s := p.Snapshot()
	for r, want := range map[*Region]int{r: 2, second: 1} {
		if have := len(s.Regions[r.ID()].Mappings); have != want {
			t.Errorf("%d mappings of %s are observed, want %d", have, r.Name(), want)
		}
	}
	if late := s.Regions[second.ID()].Mappings[0].Latency; late <= 0 {
		t.Errorf("a file that was mapped between two looks was unseen for %v", late)
	}
	if n, _ := p.Looks(); n < 3 {
		t.Errorf("%d looks, want 3 or more", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Look(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, r := range []*Region{r, second} {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Look(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}
