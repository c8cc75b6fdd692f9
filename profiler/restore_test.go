package profiler

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"
)

// stored takes a snapshot apart as one who stores it does, through what it exports.
func stored(s *Snapshot) (*Snapshot, Parts) {
	c := *s
	c.stacks, c.spans = nil, nil
	p := Parts{Code: map[uintptr][]runtime.Frame{}, Spans: map[SpanRef]SpanStats{}}
	for id := range s.Stacks() {
		pcs := s.Stack(StackID(id + 1))
		p.Stacks = append(p.Stacks, pcs)
		for i, pc := range pcs {
			if i == 0 {
				pc++
			}
			p.Code[pc] = s.FramesAt(pc)
		}
	}
	for ref, span := range s.Spans {
		p.Spans[ref] = span
	}
	c.Regions = slices.Clone(s.Regions)
	for i := range c.Regions {
		r := &c.Regions[i]
		p.Touched = append(p.Touched, slices.Collect(r.Runs))
		r.touched = bitmap{}
		r.Stall = RestoreHistogram(r.Stall.Sum, r.Stall.Max, r.Stall.Buckets)
		r.Disk = RestoreHistogram(r.Disk.Sum, r.Disk.Max, r.Disk.Buckets)
	}
	return &c, p
}

func TestRestoredSnapshotIsEqual(t *testing.T) {
	b := someBuilder(t)
	pcs := make([]uintptr, 20)
	real := b.AddStack(pcs[:runtime.Callers(0, pcs)])
	for _, f := range someFaults(3, 2000) {
		b.AddFault(f)
	}
	want := b.Snapshot()
	got, err := RestoreSnapshot(stored(want))
	if err != nil {
		t.Fatal(err)
	}
	if frames := got.Frames(real); len(frames) < 2 || !reflect.DeepEqual(frames, want.Frames(real)) {
		t.Errorf("frames %v, want %v", frames, want.Frames(real))
	}
	got.stacks.code = nil // the original names its code when asked
	for i := range got.Regions {
		g, w := &got.Regions[i], &want.Regions[i]
		if g.touched.n != w.touched.n || !slices.Equal(slices.Collect(g.Runs), slices.Collect(w.Runs)) || !slices.Equal(slices.Collect(g.TouchedGranules), slices.Collect(w.TouchedGranules)) {
			t.Errorf("touched %v, want %v", g.touched, w.touched)
		}
		g.touched, w.touched = bitmap{}, bitmap{}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestRestoreRefusesWhatDoesNotFit(t *testing.T) {
	for name, spoil := range map[string]func(*Snapshot, *Parts){
		"region id":      func(s *Snapshot, _ *Parts) { s.Regions[1].ID = s.Regions[0].ID },
		"regions turned": func(s *Snapshot, _ *Parts) { s.Regions[0].ID = 7 },
		"granule":        func(s *Snapshot, _ *Parts) { s.Regions[0].Granule = 0 },
		"size":           func(s *Snapshot, _ *Parts) { s.Regions[0].Size = -1 },
		"fault":          func(s *Snapshot, _ *Parts) { s.Faults = []Fault{{Region: 2}} },
		"offset":         func(s *Snapshot, _ *Parts) { s.Faults = []Fault{{Offset: -1}} },
		"group":          func(s *Snapshot, _ *Parts) { s.Groups = []Group{{Region: 2}} },
		"empty run":      func(_ *Snapshot, p *Parts) { p.Touched[0] = []Granules{{1, 0}} },
		"runs backwards": func(_ *Snapshot, p *Parts) { p.Touched[0] = []Granules{{5, 1}, {4, 1}} },
		"too many":       func(_ *Snapshot, p *Parts) { p.Touched[0] = []Granules{{1 << 51, 1}} },
		"an overflow":    func(_ *Snapshot, p *Parts) { p.Touched[0] = []Granules{{1<<64 - 1, 2}} },
	} {
		t.Run(name, func(t *testing.T) {
			s, p := stored(someBuilder(t).Snapshot())
			spoil(s, &p)
			if _, err := RestoreSnapshot(s, p); !errors.Is(err, ErrInvalid) {
				t.Errorf("%v, want ErrInvalid", err)
			}
		})
	}
}

func TestRunsOfTheBitmap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 0))
	for range 200 {
		var words, runs bitmap
		at := uint64(0)
		for range rnd.IntN(5) {
			first, n := at+rnd.Uint64N(150), 1+rnd.Uint64N(200)
			runs.runs, runs.n = append(runs.runs, Granules{first, n}), runs.n+n
			for i := range n {
				words.add(first + i)
			}
			at = first + n
		}
		if words.n != runs.n {
			t.Fatalf("%d members, want %d", runs.n, words.n)
		}
		got, want := slices.Collect(runs.eachRun), slices.Collect(words.eachRun)
		if !slices.Equal(got, want) || !slices.Equal(slices.Collect(runs.each), slices.Collect(words.each)) {
			t.Fatalf("%v, want %v", got, want)
		}
		for i, g := range want {
			if i > 0 && g.First <= want[i-1].First+want[i-1].Count {
				t.Fatalf("%v is not as long as possible", want)
			}
		}
		for i := range at + 100 {
			if runs.has(i) != words.has(i) {
				t.Fatalf("%d is in %v: %v", i, want, runs.has(i))
			}
		}
		for range runs.eachRun {
			break
		}
	}
}
