package bbolttest

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
)

const (
	childEnv = "FIRSTTOUCH_BBOLTTEST_CHILD"
	budget   = 120 * time.Second // a hang, on a slow machine
)

// inChild reports whether this is the process that a test has to itself. In the test's parent it
// starts that process, which runs the test under the same name, and passes its verdict on.
func inChild(t *testing.T, env []string, opts ...testproc.Option) bool {
	t.Helper()
	if os.Getenv(childEnv) == t.Name() {
		return true
	}
	// The race detector lingers for a second at the end of a process unless told not to.
	env = append(env, childEnv+"="+t.Name(), "GORACE=atexit_sleep_ms=0 halt_on_error=1")
	t.Log(testproc.Run(t, t.Name(), env, budget, opts...))
	return false
}

// start starts a profiler that must not have failed anything by the end of the test.
func start(t *testing.T, opts ...profiler.Option) *profiler.Profiler {
	t.Helper()
	if os.Getenv(testproc.DeliveryEnv) == profiler.DeliverySignal.String() {
		opts = append(opts, profiler.WithDelivery(profiler.DeliverySignal))
	}
	p, err := profiler.New(append(opts, profiler.WithFailingSystemCalls(), profiler.WithStopLimit(10*time.Second))...)
	if errors.Is(err, profiler.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s := p.Snapshot().Stats
		if s.Faults != s.Records+s.Dropped {
			t.Errorf("%d faults are not %d records and %d dropped", s.Faults, s.Records, s.Dropped)
		}
		if s.ResolveErrs != 0 {
			t.Errorf("%d resolves failed: %s", s.ResolveErrs, s.LastError)
		}
		for _, n := range s.Notes {
			t.Log("note:", n)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func attach(t *testing.T, p *profiler.Profiler, path string, opts ...profiler.RegionOption) *profiler.Region {
	t.Helper()
	r, err := p.AttachFile(path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rearm(t *testing.T, r *profiler.Region) {
	t.Helper()
	if err := r.Rearm(); err != nil {
		t.Fatal(err)
	}
}

func detach(t *testing.T, r *profiler.Region) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for what another thread brings about in its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(testproc.Budget(budget / 2)); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
