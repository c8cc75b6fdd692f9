//go:build linux && (amd64 || arm64)

package profiler

import (
	"testing"

	"golang.org/x/sys/unix"
)

// How often and for how long all other threads were stopped is counted; with a guard nobody is.
func TestStoppedThreadsAreCounted(t *testing.T) {
	p := newProfiler(t)
	path := newFile(t, 8*pageSize)
	mapFile(t, path, 8*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	r, err := p.AttachFile(path, WithGuard(func(critical func()) error { critical(); return nil }))
	if err != nil {
		t.Fatal(err)
	}
	rearm(t, r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if s := p.Snapshot().Stats; s.Stops != 0 || s.Stopped != 0 {
		t.Errorf("with a guard threads were stopped %d times, for %v", s.Stops, s.Stopped)
	}
	r = attach(t, p, path)
	before := p.Snapshot()
	if s := before.Stats; s.Stops == 0 || s.Stopped == 0 {
		t.Errorf("without a guard threads were stopped %d times, for %v", s.Stops, s.Stopped)
	}
	rearm(t, r)
	after := p.Snapshot()
	if s := after.Sub(before).Stats; s.Stops == 0 || s.Stopped == 0 || s.Stops >= after.Stats.Stops || s.Stopped >= after.Stats.Stopped {
		t.Errorf("Rearm stopped threads %d times, for %v, of %d times, for %v", s.Stops, s.Stopped, after.Stats.Stops, after.Stats.Stopped)
	}
	if c := p.Cost(); c.Stopped != after.Stats.Stopped {
		t.Errorf("the cost has %v, the snapshot %v", c.Stopped, after.Stats.Stopped)
	}
}
