package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	svc "github.com/firsttouch/firsttouch/e2e/field/service"
)

// key is a run of a service.
type key struct{ Load, User, Mode string }

// settings are those of the modes, as variables of the service.
var settings = map[string][]string{
	svc.Without: nil,
	"thread":    nil,
	"signal":    {"FIRSTTOUCH_DELIVERY=signal"},
	"budget":    {"FIRSTTOUCH_BUDGET=200/s", svc.RepeatEnv + "=1s"},
	"windows":   {"FIRSTTOUCH_WINDOWS=200ms", svc.RepeatEnv + "=1s"},
	readAhead:   nil,
}

var allModes = []string{"thread", "signal", "budget", "windows"}

// readAhead is by thread, in a file system that reads ahead as most do; only as root, on a quiet machine.
const (
	readAhead    = "read-ahead"
	readAheadKiB = 128
)

// fewNotes are enough to see what is wrong; the first of a service of many files are all alike.
const fewNotes = 4

// cell is what became of a run, beside the one without the profiler.
type cell struct {
	Service string
	key
	Red      []string `json:",omitempty"` // what is not as it should be
	Right    bool     // the answers are those without the profiler
	Stages   []stage
	Dropped  uint64
	Slowdown float64 // processor time of the first round of questions, both stages
	Start    time.Duration
	Shutdown time.Duration
	Commit   string
}

// stage is what was seen after the opening of the service, and after the change.
type stage struct {
	Seen, Known      int // pages; Known are those that came into the page cache, or, of memory without a file, that the kernel names
	Mappings, Of     int
	Found            time.Duration
	Sampled, Refused bool `json:",omitempty"` // Refused: nothing can be observed, as the notes say
	Pages, Error     float64
	PlainTook        time.Duration
	Took             time.Duration
	Rounds           int
	Strange          int // pages of which the profiler says that they were touched, and which are not in the page cache
}

// runAll runs a service in all combinations.
func (f *field) runAll(ctx context.Context, s *service, c choice) (cells []cell, err error) {
	commit := commitNow(ctx)
	for _, load := range allLoads {
		list := c.combinations(load)
		if len(list) == 0 {
			continue
		}
		if load == quiet && !c.quick && !s.memory && slices.Contains(c.users, "root") {
			list = append(list, key{load, "root", readAhead})
		}
		plain, err := f.run(ctx, s, key{load, "root", svc.Without}, nil)
		if err == nil {
			err = plain.err
		}
		if err != nil {
			return nil, fmt.Errorf("without the profiler, %s: %w", load, err)
		}
		for _, k := range list {
			var expect []string
			if c.quick {
				expect = s.expected(k, plain)
			}
			got, err := f.run(ctx, s, k, expect)
			if err != nil {
				return nil, err
			}
			cell := judge(s, k, plain, got)
			cell.Commit = commit
			cells = append(cells, cell)
			fmt.Printf("%s %s %s %s: %s\n", s.name, k.Load, k.User, k.Mode, cell.text())
			for _, r := range cell.Red {
				fmt.Println("  not as it should be:", r)
			}
			if len(cell.Red) > 0 {
				for _, n := range got.Notes[:min(len(got.Notes), fewNotes)] {
					fmt.Println("  note:", n)
				}
			}
		}
	}
	return cells, nil
}

// expected is how many mappings are to be found in each stage.
func (s *service) expected(k key, plain seen) (list []string) {
	for i, st := range plain.Stages {
		n := st.Mappings
		if s.refusal(k, i) != "" {
			n = 0
		}
		list = append(list, strconv.Itoa(n))
	}
	return list
}

func (s *service) refusal(k key, stage int) string {
	if s.refused == nil {
		return ""
	}
	return s.refused(k, stage)
}

// judge holds a run against the one without the profiler.
func judge(s *service, k key, plain, got seen) cell {
	c := cell{Service: s.name, key: k, Dropped: got.Dropped, Start: got.Start, Shutdown: got.Shutdown}
	red := func(format string, a ...any) { c.Red = append(c.Red, fmt.Sprintf(format, a...)) }
	if got.err != nil {
		red("%v", got.err)
		return c
	}
	if got.Reason != "" {
		red("the agent does nothing: %s", got.Reason)
	}
	c.Right = got.After == plain.After
	var took, plainTook time.Duration
	for i, g := range got.Stages {
		p := plain.Stages[i]
		c.Right = c.Right && g.Digest == p.Digest
		took, plainTook = took+g.CPU, plainTook+p.CPU
		st := stage{Mappings: g.Mappings, Of: p.Mappings, Found: max(g.Found, 0), Sampled: g.Sampled, Took: g.Took, PlainTook: p.Took, Rounds: g.Rounds}
		before, after := got.before[i], got.after[i]
		if s.memory {
			before, after = nil, nil
			st.Known, st.Seen = p.Referenced, count(g.After)-count(got.Stages[0].Before)
		}
		for path, now := range after {
			for page := range now.All {
				if before[path].Has(page) {
					continue
				}
				st.Known++
				if g.After[path].Has(page) {
					st.Seen++
				}
			}
		}
		for path, touched := range g.After {
			for page := range touched.All {
				if !g.Before[path].Has(page) && !after[path].Has(page) && !s.memory {
					st.Strange++
				}
			}
			st.Pages += g.Pages[path].Pages
			st.Error += g.Pages[path].Error
		}
		c.Stages = append(c.Stages, st)
		if why := s.refusal(k, i); why != "" {
			c.Stages[i].Refused = g.Mappings == 0 && slices.ContainsFunc(g.Notes, func(n string) bool { return strings.Contains(n, why) })
			if !c.Stages[i].Refused {
				red("stage %d: %d mappings are observed, or the notes do not say %q", i+1, g.Mappings, why)
			}
			continue
		}
		if st.Mappings != st.Of {
			red("stage %d: %d of %d mappings were found %v after they were there", i+1, st.Mappings, st.Of, svc.Wait)
		}
		if st.Known == 0 && !(s.warm && i == 0) {
			red("stage %d: no page is known to have been touched", i+1)
		}
		if st.Seen != st.Known && !st.Sampled && k.Mode != readAhead {
			red("stage %d: %d of %d pages were seen", i+1, st.Seen, st.Known)
		}
		if st.Strange > 0 {
			red("stage %d: %d pages are not in the page cache, and were touched as the profiler says", i+1, st.Strange)
		}
	}
	if plainTook > 0 {
		c.Slowdown = float64(took) / float64(plainTook)
	}
	if !c.Right {
		red("the answers are not those without the profiler")
	}
	if got.Dropped > 0 {
		red("%d records were dropped", got.Dropped)
	}
	if got.ResolveErrors > 0 {
		red("%d pages could not be made accessible: %s", got.ResolveErrors, got.LastError)
	}
	if got.ShutdownError != "" {
		red("shutdown: %s", brief(got.ShutdownError))
	}
	return c
}

func count(pages map[string]svc.Bits) (n int) {
	for _, b := range pages {
		for range b.All {
			n++
		}
	}
	return n
}

// text is the cell in the page.
func (c cell) text() string {
	if len(c.Stages) == 0 {
		return "no answer"
	}
	answers := "right"
	if !c.Right {
		answers = "wrong"
	}
	var stages []string
	for _, s := range c.Stages {
		if s.Refused {
			stages = append(stages, "refused")
			continue
		}
		about := ""
		if s.Sampled {
			about = fmt.Sprintf(" (by estimate %.0f ± %.0f)", s.Pages, s.Error)
		}
		stages = append(stages, fmt.Sprintf("%d/%d pages%s, %d/%d mappings in %.2f s", s.Seen, s.Known, about, s.Mappings, s.Of, s.Found.Seconds()))
	}
	return fmt.Sprintf("%s; %s; %d dropped; ×%.1f", answers, strings.Join(stages, "; "), c.Dropped, c.Slowdown)
}
