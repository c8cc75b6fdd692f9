package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Soaked is what became of a service that ran for long.
type Soaked struct {
	For             time.Duration
	Rounds          int
	Windows         uint64 // how often regions were armed again
	Faults, Dropped uint64
	Shutdown        time.Duration // the longest
	Off             int           // rounds in which the agent's fuse took the profiler off, see docs/fuse.md
	First, Last     State
}

// State is what a process has.
type State struct {
	Descriptors, Mappings, Threads int
	Memory                         int64         // resident, in bytes
	Answer                         time.Duration // median of all questions, without the profiler
}

func (s Soaked) String() string {
	return fmt.Sprintf("%d rounds in %v, %d windows, %d first touches, %d dropped: %+v at first, %+v in the end", s.Rounds, s.For.Round(time.Second), s.Windows, s.Faults, s.Dropped, s.First, s.Last)
}

// Grown says what has become more, or was lost.
func (s Soaked) Grown() error {
	a, z := s.First, s.Last
	if z.Descriptors > a.Descriptors || z.Mappings > a.Mappings+a.Mappings/10 || z.Threads > a.Threads+4 || z.Memory > a.Memory+a.Memory/2+16<<20 || s.Dropped > 0 {
		return fmt.Errorf("it has grown, or lost records: %v", s)
	}
	return nil
}

// longest is how long taking the profiler off may take at the lowest priority, on a machine whose processors others want.
const longest = 5 * time.Minute

// firstRounds are over before the first state is looked at: pools are full then.
const firstRounds = 3

// soak starts the agent, opens, asks, changes, asks and takes the profiler off, again and again.
func soak(s Service, dir string, d time.Duration) error {
	var out Soaked
	began, want := time.Now(), ""
	for out.Rounds <= firstRounds || time.Since(began) < d {
		digest, state, err := out.round(s, dir)
		if err != nil {
			return fmt.Errorf("round %d, %v after the start: %w", out.Rounds+1, time.Since(began).Round(time.Second), err)
		}
		if want == "" {
			want = digest
		}
		if digest != want {
			return fmt.Errorf("round %d, %v after the start: the answers are others than before", out.Rounds+1, time.Since(began).Round(time.Second))
		}
		out.Rounds++
		if out.Rounds == firstRounds {
			out.First = state
		}
		out.Last = state
		if out.Rounds%20 == 0 {
			log.Printf("%v: round %d: %+v", time.Since(began).Round(time.Second), out.Rounds, state)
		}
	}
	out.For = time.Since(began)
	return json.NewEncoder(os.Stdout).Encode(out)
}

func (s *Soaked) round(of Service, dir string) (digest string, state State, err error) {
	o, err := observe()
	if err != nil {
		return "", state, err
	}
	if o.reason() != "" {
		return "", state, errors.New(o.reason())
	}
	i, err := of.Open(dir)
	if err != nil {
		return "", state, err
	}
	if err := o.memory(i); err != nil {
		return "", state, err
	}
	same := func() error {
		got, _, err := ask(i)
		if err != nil {
			return err
		}
		if digest == "" {
			digest = got
		}
		if got != digest {
			return errors.New("the answers differ")
		}
		return nil
	}
	for n := range 2 {
		if n == 1 {
			if err := i.Change(); err != nil {
				return "", state, fmt.Errorf("change: %w", err)
			}
		}
		for began := time.Now(); time.Since(began) < time.Second; {
			if err := same(); err != nil {
				return "", state, err
			}
		}
	}
	if o.reason() != "" {
		s.Off++
	}
	for _, r := range o.agent.Profiler().Snapshot().Regions {
		s.Windows += r.Rearms
	}
	var r Result
	o.end(&r, longest)
	if r.ShutdownError != "" {
		return "", state, fmt.Errorf("shutdown: %s", r.ShutdownError)
	}
	if r.ResolveErrors > 0 {
		return "", state, fmt.Errorf("%d pages could not be made accessible: %s", r.ResolveErrors, r.LastError)
	}
	s.Shutdown = max(s.Shutdown, r.Shutdown)
	s.Faults += r.Faults
	s.Dropped += r.Dropped
	var times []time.Duration
	for range 9 {
		began := time.Now()
		if err := same(); err != nil {
			return "", state, err
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	if err := i.Close(); err != nil {
		return "", state, err
	}
	state, err = stateNow()
	state.Answer = times[len(times)/2]
	return digest, state, err
}

func stateNow() (s State, err error) {
	debug.FreeOSMemory()
	for dir, n := range map[string]*int{"/proc/self/fd": &s.Descriptors, "/proc/self/task": &s.Threads} {
		list, err := os.ReadDir(dir)
		if err != nil {
			return s, err
		}
		*n = len(list)
	}
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return s, err
	}
	s.Mappings = bytes.Count(text, []byte("\n"))
	text, err = os.ReadFile("/proc/self/statm")
	if err != nil {
		return s, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	s.Memory = pages * pageSize
	return s, err
}
