//go:build linux && (amd64 || arm64)

package bench

import (
	"errors"
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// variant is one way to make a load's touches.
type variant struct {
	name string
	run  func(r *rig, l load) (result, error)
}

// kernelArena leaves the faults to the kernel.
func kernelArena(_ *rig, l load) (result, error) {
	b, err := mapArena(l.size())
	if err != nil {
		return result{}, err
	}
	defer unix.Munmap(b)
	return touchFresh(b, l)
}

// profiledArena has the faults observed, with a profiler of its own.
func profiledArena(stacks profiler.StackSampling, opts ...profiler.Option) func(*rig, load) (result, error) {
	return func(_ *rig, l load) (res result, err error) {
		p, res, err := newProfiler(append(opts, profiler.WithStacks(stacks))...)
		if p == nil {
			return res, err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		region, err := p.NewArena("bench", l.size())
		if err != nil {
			return result{}, err
		}
		if res, err = touchFresh(region.Bytes(), l); err != nil {
			return result{}, err
		}
		faults := uint64(l.size() / max(p.Granule(region.ID()), l.stride*pageSize))
		return res, p.check("bench", faults, stacks == profiler.StacksEvery())
	}
}

// bySignal is the delivery that costs less.
var bySignal = profiler.WithDelivery(profiler.DeliverySignal)

// running is a profiler and how to tell that it saw everything.
type running struct{ *profiler.Profiler }

// newProfiler starts a profiler, or says in the result why it cannot run here.
func newProfiler(opts ...profiler.Option) (*running, result, error) {
	p, err := profiler.New(append(opts, profiler.WithFailingSystemCalls(), profiler.WithStopLimit(10*time.Second))...)
	if errors.Is(err, profiler.ErrNotSupported) {
		return nil, result{skip: err.Error()}, nil
	}
	if err != nil {
		return nil, result{}, err
	}
	return &running{p}, result{}, nil
}

// check holds that what was timed was also observed: every fault counted, with its record and, if
// asked for, its stack.
func (p *running) check(region string, faults uint64, stacks bool) error {
	s := p.Snapshot()
	if got := s.Region(region).Faults; got != faults {
		return fmt.Errorf("%d faults seen in %s, made were %d", got, region, faults)
	}
	if s.Stats.Dropped != 0 || s.Stats.ResolveErrs != 0 {
		return fmt.Errorf("%d records dropped, %d resolves failed", s.Stats.Dropped, s.Stats.ResolveErrs)
	}
	if got := s.Stats.Stacks + s.Stats.StacksMissed; stacks && got != faults || !stacks && s.Stats.Stacks != 0 {
		return fmt.Errorf("%d stacks taken and %d missed of %d faults", s.Stats.Stacks, s.Stats.StacksMissed, faults)
	}
	return nil
}
