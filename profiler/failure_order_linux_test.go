//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Regions come and go while the profiler finds mappings of an attached file, and snapshots are
// taken: whatever holds which lock, all of them get on.
func TestRegionsComeWhileMappingsCome(t *testing.T) {
	aside(t)
	inChild(t, "TestRegionsComeWhileMappingsCome", "all", nil, func(t *testing.T) {
		const size = 64 << 10
		p := newProfiler(t, WithRescan(time.Millisecond))
		path := newFile(t, size)
		first := mapFile(t, path, size, unix.PROT_READ, unix.MAP_SHARED)
		r, err := p.AttachFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeBusy(t, r.Close) })
		want := contents(size)
		arenas := during(func(i int) {
			a, err := p.NewArena(fmt.Sprintf("arena %d", i), size)
			if err != nil {
				t.Error(err)
				return
			}
			a.Bytes()[i%size] = 1
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		})
		mappings := during(func(i int) {
			b := mapFile(t, path, size, unix.PROT_READ, unix.MAP_SHARED)
			time.Sleep(2 * time.Millisecond)
			if i := different(b, want); i >= 0 {
				t.Errorf("byte %d of a new mapping is %d, want %d", i, b[i], want[i])
			}
		})
		snapshots := during(func(int) {
			p.Snapshot()
			time.Sleep(time.Millisecond)
		})
		covered := func() int { return len(p.Snapshot().Regions[r.ID()].Mappings) }
		for covered() < 40 {
			time.Sleep(10 * time.Millisecond)
		}
		t.Logf("%d arenas, %d mappings, %d snapshots", arenas(), mappings(), snapshots())
		if i := different(first, want); i >= 0 {
			t.Errorf("byte %d is %d, want %d", i, first[i], want[i])
		}
	})
}
