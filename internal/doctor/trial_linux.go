package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// trialPages is the size of each region of a trial.
const trialPages = 4

// stopLimit is for how long a step may stop the trial's threads: there are no others that it could keep, and on a busy
// machine a thread has to wait until it runs and can be stopped.
var stopLimit = profiler.WithStopLimit(time.Second)

// Try runs the profiler on small memory of its own, with files in dir. It is meant to run in a
// process that may die, and so lets system calls fail where the kernel serves user mode only.
func Try(dir string) Trial {
	t := trySteps(dir)
	t.Ways = tryWays(dir)
	return t
}

func trySteps(dir string) Trial {
	t := Trial{Steps: []Step{}, Refused: refusedCalls()}
	p, err := profiler.New(profiler.WithStacks(profiler.StacksEvery()), profiler.WithFailingSystemCalls(), stopLimit)
	t.add(StepStart, err)
	if err != nil {
		t.Reason = err.Error()
		return t
	}
	t.UserModeOnly = p.Snapshot().Stats.UserModeOnly
	t.add(StepArena, tryArena(p))
	t.add(StepStack, tryStack(p))
	t.add(StepSyscall, trySyscall(p, t.UserModeOnly))
	t.add(StepFile, tryFile(p, filepath.Join(dir, "mapped")))
	t.add(StepAttached, tryAttached(p, filepath.Join(dir, "attached")))
	if !t.UserModeOnly { // under which memory is not attached
		t.add(StepMemory, tryMemory(p, "trial memory", unix.MAP_PRIVATE))
		t.add(StepShared, tryMemory(p, "trial shared memory", unix.MAP_SHARED))
		t.add(StepWrites, tryMemory(p, "trial writes", unix.MAP_PRIVATE, profiler.WithWritesOnly()))
	}
	t.Placement = p.Snapshot().Stats.Placement
	if err := p.Close(); err != nil {
		t.Reason = "the profiler did not end: " + err.Error()
		return t
	}
	t.add(StepSignal, trySignal(filepath.Join(dir, "signal")))
	return t
}

// trySignal tries the other delivery.
func trySignal(path string) error {
	p, err := profiler.New(profiler.WithStacks(profiler.StacksEvery()), profiler.WithDelivery(profiler.DeliverySignal), stopLimit)
	if err != nil {
		return err
	}
	return errors.Join(tryArena(p), tryStack(p), trySyscall(p, true), tryAttached(p, path), p.Close())
}

func (t *Trial) add(name string, err error) {
	s := Step{Name: name}
	switch {
	case errors.Is(err, profiler.ErrNotSupported) && name != StepStart:
		s.Unsupported = err.Error()
	case err != nil:
		s.Error = err.Error()
	}
	t.Steps = append(t.Steps, s)
}

// expect compares the count of first touches of a region.
func expect(p *profiler.Profiler, id profiler.RegionID, want uint64) error {
	p.Flush()
	if got := p.Snapshot().Regions[id].Faults; got != want {
		return fmt.Errorf("%d first touches were made and %d seen", want, got)
	}
	return nil
}

func tryArena(p *profiler.Profiler) error {
	page := os.Getpagesize()
	r, err := p.NewArena("trial", trialPages*page)
	if err != nil {
		return err
	}
	defer r.Close()
	mem := r.Bytes()
	mem[0] = 1
	if mem[page] != 0 || mem[0] != 1 {
		return errors.New("the memory has other contents than were written")
	}
	return expect(p, r.ID(), 2)
}

//go:noinline
func touchForStack(mem []byte) byte { return mem[0] }

func tryStack(p *profiler.Profiler) error {
	r, err := p.NewArena("trial stack", os.Getpagesize())
	if err != nil {
		return err
	}
	defer r.Close()
	touchForStack(r.Bytes())
	p.Flush()
	s := p.Snapshot()
	for _, f := range s.Faults {
		if f.Region != r.ID() {
			continue
		}
		frames := s.Frames(f.Stack)
		if len(frames) == 0 {
			return errors.New("no stack arrived: the signal may be blocked or taken")
		}
		if !strings.HasSuffix(frames[0].Function, ".touchForStack") {
			return fmt.Errorf("the stack names %s, and another function touched", frames[0].Function)
		}
		return nil
	}
	return errors.New("the first touch was not seen")
}

// trySyscall hands pages that were never touched to write(2).
func trySyscall(p *profiler.Profiler, userModeOnly bool) error {
	r, err := p.NewArena("trial system call", os.Getpagesize())
	if err != nil {
		return err
	}
	defer r.Close()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	switch _, err := unix.Write(pipe[1], r.Bytes()[:8]); {
	case userModeOnly && !errors.Is(err, unix.EFAULT):
		return fmt.Errorf("write from an untouched page: got %v, and EFAULT was to be expected in user mode only", err)
	case !userModeOnly && err != nil:
		return fmt.Errorf("write from an untouched page: %w", err)
	case userModeOnly:
		return nil
	}
	return expect(p, r.ID(), 1)
}
