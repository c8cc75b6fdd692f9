package recording

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// Read reads a recording. Where the data is cut off or damaged it returns what came before, which may be
// little, together with an error that wraps ErrTruncated, ErrCorrupt or the reader's own; the
// Recording is nil where nothing could be read.
func Read(r io.Reader) (*Recording, error) {
	in, err := newReader(r)
	if err != nil {
		return nil, fmt.Errorf("read the recording: %w", err)
	}
	var c contents
	for !c.whole && err == nil {
		var kind byte
		var content []byte
		before := in.at
		if kind, content, err = in.next(); err == nil {
			if bad := c.take(in, kind, content); bad != nil {
				err = fmt.Errorf("%w in the part at byte %d: %w", ErrCorrupt, before, bad)
			}
		}
	}
	rec, bad := c.recording()
	if bad != nil {
		return nil, fmt.Errorf("read the recording: %w: %w", ErrCorrupt, errors.Join(bad, err))
	}
	if err != nil {
		err = fmt.Errorf("read the recording: %w", err)
	}
	return rec, err
}

// contents are the rows that were read so far.
type contents struct {
	origin      []origin
	executables []*profile.Mapping
	regions     []profiler.RegionStats
	mappings    []mapping
	steps       []sampling
	buckets     []bucket
	runs        []run
	stats       []profiler.Stats
	notes       []string
	code        []code
	stacks      [][]uintptr
	groups      []profiler.Group
	threads     []profiler.ThreadStats
	spans       []span
	requests    []Request
	faults      []profiler.Fault
	end         []end
	windows     []regionWindow
	curves      []curvePoint
	misses      []missPoint
	events      []profiler.Event
	whole       bool
}

// take adds the rows of a frame. Tables that it does not know are of a later minor version.
func (c *contents) take(in *reader, kind byte, content []byte) error {
	switch kind {
	case originTable.kind:
		return collect(originTable, content, &c.origin)
	case executableTable.kind:
		return collect(executableTable, content, &c.executables)
	case regionTable.kind:
		return collect(regionTable, content, &c.regions)
	case mappingTable.kind:
		return collect(mappingTable, content, &c.mappings)
	case samplingTable.kind:
		return collect(samplingTable, content, &c.steps)
	case bucketTable.kind:
		return collect(bucketTable, content, &c.buckets)
	case runTable.kind:
		return collect(runTable, content, &c.runs)
	case statsTable.kind:
		return collect(statsTable, content, &c.stats)
	case noteTable.kind:
		return collect(noteTable, content, &c.notes)
	case codeTable.kind:
		return collect(codeTable, content, &c.code)
	case stackTable.kind:
		return collect(stackTable, content, &c.stacks)
	case groupTable.kind:
		return collect(groupTable, content, &c.groups)
	case threadTable.kind:
		return collect(threadTable, content, &c.threads)
	case spanTable.kind:
		return collect(spanTable, content, &c.spans)
	case requestTable.kind:
		return collect(requestTable, content, &c.requests)
	case faultTable.kind:
		return collect(faultTable, content, &c.faults)
	case windowTable.kind:
		return collect(windowTable, content, &c.windows)
	case curveTable.kind:
		return collect(curveTable, content, &c.curves)
	case eventTable.kind:
		return collect(eventTable, content, &c.events)
	case missTable.kind:
		return collect(missTable, content, &c.misses)
	case endTable.kind:
		c.whole = true
		if err := collect(endTable, content, &c.end); err != nil {
			return err
		}
		if len(c.end) != 1 || c.end[0].frames != in.frames-1 {
			return fmt.Errorf("parts are missing: there are %d", in.frames-1)
		}
	}
	return nil
}

func collect[T any](t table[T], content []byte, to *[]T) error {
	rows, err := t.read(content)
	*to = append(*to, rows...)
	return err
}

// recording puts the rows together.
func (c *contents) recording() (*Recording, error) {
	var o origin
	if len(c.origin) > 0 {
		o = c.origin[0]
	}
	o.Origin.Written = timeOf(o.written)
	s := &profiler.Snapshot{
		Start: timeOf(o.start), End: timeOf(o.end), StartMono: o.startMono, EndMono: o.endMono,
		Regions: c.regions, Groups: c.groups, Faults: c.faults, Threads: c.threads, Events: c.events,
	}
	if len(c.stats) > 0 {
		s.Stats = c.stats[0]
	}
	s.Stats.Notes = c.notes
	p := profiler.Parts{
		Stacks: c.stacks, Code: make(map[uintptr][]runtime.Frame), Spans: make(map[profiler.SpanRef]profiler.SpanStats),
	}
	for _, f := range c.code {
		p.Code[f.after] = append(p.Code[f.after], f.Frame)
	}
	for _, sp := range c.spans {
		p.Spans[sp.ref] = sp.SpanStats
	}
	var err error
	if p.Touched, err = c.fillRegions(); err != nil {
		return nil, err
	}
	if s, err = profiler.RestoreSnapshot(s, p); err != nil {
		return nil, err
	}
	return &Recording{Origin: o.Origin, Snapshot: s, Requests: c.requests, Executables: c.executables, WorkingSets: c.workingSets()}, nil
}

// fillRegions gives the regions what has tables of its own.
func (c *contents) fillRegions() ([][]profiler.Granules, error) {
	at := func(id profiler.RegionID) (*profiler.RegionStats, error) {
		if int(id) >= len(c.regions) {
			return nil, fmt.Errorf("region %d of %d", id, len(c.regions))
		}
		return &c.regions[id], nil
	}
	for _, m := range c.mappings {
		r, err := at(m.region)
		if err != nil {
			return nil, err
		}
		r.Mappings = append(r.Mappings, m.MappingStats)
	}
	for _, st := range c.steps {
		r, err := at(st.region)
		if err != nil {
			return nil, err
		}
		r.Sampling = append(r.Sampling, st.SamplingStep)
	}
	stalls := make([][2][]bucket, len(c.regions))
	for _, b := range c.buckets {
		if _, err := at(b.region); err != nil {
			return nil, err
		}
		which := 0
		if b.disk {
			which = 1
		}
		stalls[b.region][which] = append(stalls[b.region][which], b)
	}
	touched := make([][]profiler.Granules, len(c.regions))
	for _, g := range c.runs {
		if _, err := at(g.region); err != nil {
			return nil, err
		}
		touched[g.region] = append(touched[g.region], g.Granules)
	}
	for i := range c.regions {
		r := &c.regions[i]
		r.Stall, r.Disk = histogram(r.Stall, stalls[i][0]), histogram(r.Disk, stalls[i][1])
	}
	return touched, nil
}

func histogram(h profiler.Histogram, buckets []bucket) profiler.Histogram {
	return profiler.RestoreHistogram(h.Sum, h.Max, func(yield func(d time.Duration, n uint64) bool) {
		for _, b := range buckets {
			if !yield(b.upper, b.count) {
				return
			}
		}
	})
}
