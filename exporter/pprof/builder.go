package pprof

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// docURL explains the columns and frames to whoever opens a profile.
const docURL = "https://pkg.go.dev/github.com/firsttouch/firsttouch/exporter/pprof"

// Write writes a profile as go tool pprof reads it, gzipped protocol buffers. It checks the profile
// first, so that what was written can be read.
func Write(w io.Writer, p *profile.Profile) error {
	if err := p.CheckValid(); err != nil {
		return fmt.Errorf("pprof: invalid profile: %w", err)
	}
	if err := p.Write(w); err != nil {
		return fmt.Errorf("pprof: write profile: %w", err)
	}
	return nil
}

// builder collects the tables of one profile. Equal functions, locations and mappings are one entry.
type builder struct {
	s         *profiler.Snapshot
	p         *profile.Profile
	code      []*profile.Mapping // executable mappings, the main binary first
	memory    map[profiler.RegionID][]*profile.Mapping
	functions map[functionKey]*profile.Function
	locations map[locationKey]*profile.Location
	entered   map[*profile.Mapping]bool
	labels    map[string]map[string][]string // those of samples, by all of them: samples with equal ones share them
}

type functionKey struct{ name, file string }

type locationKey struct {
	mapping *profile.Mapping
	address uint64
	first   uint64 // id of the innermost function
	line    int64
}

// newBuilder starts a profile of s; what is said of it in the comments.
func newBuilder(s *profiler.Snapshot, c config, what string) *builder {
	b := &builder{
		s: s,
		p: &profile.Profile{
			DefaultSampleType: exporter.SampleStall,
			DocURL:            docURL,
			DurationNanos:     int64(s.EndMono - s.StartMono),
			// One event of each one that happened: those of memory that was not observed are in what the others are
			// multiplied by, which the comments say.
			PeriodType: &profile.ValueType{Type: exporter.SampleFaults, Unit: "count"},
			Period:     1,
			Comments:   append(comments(s, what), c.comments...),
		},
		code:      c.executables,
		functions: make(map[functionKey]*profile.Function),
		locations: make(map[locationKey]*profile.Location),
		entered:   make(map[*profile.Mapping]bool),
		labels:    make(map[string]map[string][]string),
		memory:    make(map[profiler.RegionID][]*profile.Mapping),
	}
	for _, name := range []string{exporter.SampleFaults, exporter.SampleTouched, exporter.SampleStall} {
		e, _ := exporter.Lookup(exporter.KindSampleType, name)
		b.p.SampleType = append(b.p.SampleType, &profile.ValueType{Type: e.Name, Unit: e.Unit})
	}
	if !s.Start.IsZero() {
		b.p.TimeNanos = s.Start.UnixNano()
	}
	// Viewers take the first mapping for the program.
	b.enter(b.code[0])
	for i := range s.Regions {
		maps := regionMappings(&s.Regions[i])
		for _, m := range maps {
			b.enter(m)
		}
		b.memory[s.Regions[i].ID] = maps
	}
	return b
}

// enter adds a mapping to the profile once.
func (b *builder) enter(m *profile.Mapping) *profile.Mapping {
	if m != nil && !b.entered[m] {
		b.entered[m] = true
		m.ID = uint64(len(b.p.Mapping) + 1)
		b.p.Mapping = append(b.p.Mapping, m)
	}
	return m
}

func (b *builder) function(name, file string) *profile.Function {
	k := functionKey{name, file}
	f := b.functions[k]
	if f == nil {
		f = &profile.Function{ID: uint64(len(b.p.Function) + 1), Name: name, SystemName: name, Filename: file}
		b.functions[k] = f
		b.p.Function = append(b.p.Function, f)
	}
	return f
}

func (b *builder) location(m *profile.Mapping, address uint64, lines ...profile.Line) *profile.Location {
	k := locationKey{m, address, lines[0].Function.ID, lines[0].Line}
	l := b.locations[k]
	if l == nil {
		l = &profile.Location{ID: uint64(len(b.p.Location) + 1), Mapping: m, Address: address, Line: lines}
		b.locations[k] = l
		b.p.Location = append(b.p.Location, l)
	}
	return l
}

// synthetic is a frame that stands for no code.
func (b *builder) synthetic(name string) *profile.Location {
	return b.location(nil, 0, profile.Line{Function: b.function(name, "")})
}

// value is what one sample adds up.
type value struct {
	faults, touched int64
	stall           time.Duration
}

// sample adds a sample with the labels, given in pairs; an empty value is no label.
func (b *builder) sample(v value, stack []*profile.Location, labels ...string) {
	key := strings.Join(labels, "\x00")
	m := b.labels[key]
	if m == nil {
		m = make(map[string][]string, len(labels)/2)
		for i := 0; i < len(labels); i += 2 {
			if labels[i+1] != "" {
				m[labels[i]] = []string{labels[i+1]}
			}
		}
		b.labels[key] = m
	}
	b.p.Sample = append(b.p.Sample, &profile.Sample{
		Location: stack, Value: []int64{v.faults, v.touched, int64(v.stall)}, Label: m,
	})
}
