package service

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// observer is the agent of a service, or none.
type observer struct {
	agent    *agent.Agent // nil without the profiler
	patterns []string
	repeat   time.Duration
	memoryAt *anonymous
	refused  []string // why memory is not observed
}

var pageSize = int64(os.Getpagesize())

func observe() (*observer, error) {
	o := &observer{patterns: filepath.SplitList(os.Getenv("FIRSTTOUCH_FILES"))}
	o.repeat, _ = time.ParseDuration(os.Getenv(RepeatEnv))
	if os.Getenv(ModeEnv) == Without {
		return o, nil
	}
	var err error
	o.agent, err = agent.Start(context.Background())
	return o, err
}

func (o *observer) reason() string {
	if o.agent == nil {
		return ""
	}
	return o.agent.Reason()
}

// profiler is nil where nothing is profiled.
func (o *observer) profiler() *profiler.Profiler {
	if o.agent == nil || o.agent.Reason() != "" {
		return nil
	}
	return o.agent.Profiler()
}

// stage asks all questions once what is mapped may have been found.
func (o *observer) stage(i Instance, expected int) (s Stage, err error) {
	opened := profiler.Monotonic()
	time.Sleep(Wait)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err := o.mappings(&s, opened); err != nil {
			return s, err
		}
		if s.Mappings >= expected || time.Now().After(deadline) {
			break
		}
	}
	if expected == 0 && o.profiler() != nil { // nothing is waited for but that it was looked, and noted why
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := o.agent.Look(ctx); err != nil {
			return s, err
		}
	}
	if err := o.drop(); err != nil {
		return s, err
	}
	if err := mark("cold"); err != nil {
		return s, err
	}
	s.Before = o.touched()
	if err := mark("before"); err != nil {
		return s, err
	}
	if o.agent == nil {
		if err := o.memoryAt.clear(); err != nil {
			return s, err
		}
	}
	for began := time.Now(); s.Rounds == 0 || time.Since(began) < o.repeat; s.Rounds++ {
		before := processor()
		digest, took, err := ask(i)
		if err != nil {
			return s, err
		}
		if s.Rounds == 0 {
			s.Digest, s.Took, s.CPU = digest, took, processor()-before
		}
		if digest != s.Digest {
			return s, fmt.Errorf("the answers of round %d are others than those of the first one", s.Rounds+1)
		}
	}
	if err := mark("after"); err != nil {
		return s, err
	}
	if o.agent == nil {
		if s.Referenced, err = o.memoryAt.referenced(); err != nil {
			return s, err
		}
	}
	s.After = o.touched()
	o.estimates(&s)
	s.Notes = o.notes()
	return s, nil
}

// other is what the agent puts behind a path that another file had before.
var other = regexp.MustCompile(` \(file \d+ of this name\)$`)

// files calls yield for the regions of memory, and of files that are there now, by path.
func files(p *profiler.Profiler, yield func(path string, r *profiler.RegionStats)) {
	for deadline := time.Now().Add(10 * time.Second); p.Stalled() != 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	s := p.Snapshot()
	for i := range s.Regions {
		r := &s.Regions[i]
		path := other.ReplaceAllString(r.Name, "")
		if _, err := os.Stat(path); len(r.Mappings) > 0 && (err == nil || path == memoryName) {
			yield(path, r)
		}
	}
}

// mappings counts what is there and, with the profiler, observed.
func (o *observer) mappings(s *Stage, opened time.Duration) error {
	s.Mappings = 0
	p := o.profiler()
	if p == nil {
		list, err := mapped(o.patterns)
		s.Mappings = len(list)
		if o.memoryAt != nil {
			s.Mappings++
		}
		return err
	}
	files(p, func(_ string, r *profiler.RegionStats) {
		for _, m := range r.Mappings {
			s.Mappings++
			s.Found = max(s.Found, m.Since-opened)
		}
	})
	return nil
}

// drop has the kernel forget, without the profiler, which pages the service has touched, so that they can leave the page cache. With
// it they have been forgotten when the mapping was armed.
func (o *observer) drop() error {
	if o.agent != nil {
		return nil
	}
	list, err := mapped(o.patterns)
	for _, m := range list {
		if err := advise(m.Start, m.End, unix.MADV_DONTNEED); err != nil && err != unix.EINVAL { // which locked memory is answered with
			return err
		}
	}
	return err
}

// touched are the pages of each file that is mapped now which were touched first since the start. Without the profiler
// there are none.
func (o *observer) touched() map[string]Bits {
	p := o.profiler()
	if p == nil {
		return nil
	}
	out := map[string]Bits{}
	files(p, func(path string, r *profiler.RegionStats) {
		b := out[path]
		for off := range r.TouchedGranules {
			b.Set(off / pageSize)
		}
		out[path] = b
	})
	return out
}

func (o *observer) estimates(s *Stage) {
	p := o.profiler()
	if p == nil {
		return
	}
	s.Pages = map[string]Estimate{}
	files(p, func(path string, r *profiler.RegionStats) {
		s.Sampled = s.Sampled || len(r.Sampling) > 0
		e := s.Pages[path]
		s.Pages[path] = Estimate{e.Pages + r.Estimate.Touched/float64(pageSize), e.Error + r.Estimate.TouchedError/float64(pageSize)}
	})
}

func (o *observer) notes() (list []string) {
	if o.agent == nil {
		return nil
	}
	list = append(o.agent.Notes(), o.refused...)
	if p := o.agent.Profiler(); p != nil {
		list = append(list, p.Snapshot().Stats.Notes...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// end takes the profiler off, within a time.
func (o *observer) end(r *Result, within time.Duration) {
	if o.agent == nil {
		return
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for err := o.agent.Shutdown(ctx); ; err = o.agent.Shutdown(ctx) {
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			r.ShutdownError = err.Error()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.Shutdown = time.Since(began)
	if p := o.agent.Profiler(); p != nil {
		s := p.Snapshot().Stats
		r.Faults, r.Dropped, r.ResolveErrors, r.LastError = s.Faults, s.Dropped, s.ResolveErrs, s.LastError
	}
	r.Notes = o.notes()
}

// advise is madvise(2) by address.
func advise(start, end uintptr, advice int) error {
	if _, _, e := unix.Syscall(unix.SYS_MADVISE, start, end-start, uintptr(advice)); e != 0 {
		return e
	}
	return nil
}

// Mapping is a line of the kernel's list.
type Mapping struct {
	Start, End uintptr
	Rights     string // such as "rw-p"
	Path       string // of its file, empty where there is none
}

// Mappings lists those of this process, but for names with a blank, as that of a deleted file is shown.
func Mappings() (list []Mapping, err error) {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		f := append(strings.Fields(line), "")
		if len(f) > 7 {
			continue
		}
		m := Mapping{Rights: f[1], Path: f[5]}
		if _, err := fmt.Sscanf(f[0], "%x-%x", &m.Start, &m.End); err != nil {
			return nil, fmt.Errorf("/proc/self/maps: %q: %w", line, err)
		}
		list = append(list, m)
	}
	return list, nil
}

// mapped are the mappings of files that match.
func mapped(patterns []string) ([]Mapping, error) {
	list, err := Mappings()
	return slices.DeleteFunc(list, func(m Mapping) bool {
		return !slices.ContainsFunc(patterns, func(p string) bool { ok, _ := filepath.Match(p, m.Path); return ok })
	}), err
}
