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

// The most that one stack may have, and one address in frames: the profiler takes 62 of a stack.
const (
	stackMost  = 1 << 10
	inlineMost = 1 << 8
)

// pointText is about what a point of a curve takes in a report, where it is more than here.
const pointText = 128

// contents are the rows that were read so far.
type contents struct {
	origin      rows[origin]
	executables rows[*profile.Mapping]
	regions     rows[profiler.RegionStats]
	mappings    rows[mapping]
	steps       rows[sampling]
	ended       rows[RequestTotals]
	figures     rows[Figure]
	buckets     rows[bucket]
	runs        rows[run]
	stats       rows[profiler.Stats]
	notes       rows[string]
	code        map[uintptr][]runtime.Frame
	stacks      rows[[]uintptr]
	groups      rows[profiler.Group]
	threads     rows[profiler.ThreadStats]
	spans       map[profiler.SpanRef]profiler.SpanStats
	requests    rows[Request]
	faults      rows[profiler.Fault]
	end         rows[end]
	windows     rows[regionWindow]
	curves      rows[curvePoint]
	misses      rows[missPoint]
	events      rows[profiler.Event]
	blocked     rows[profiler.BlockedSpan]
	whole       bool
}

// take adds the rows of a frame. Tables that it does not know are of a later minor version.
func (c *contents) take(in *reader, kind byte, content []byte) error {
	b := &in.budget
	switch kind {
	case originTable.kind:
		return collect(originTable, content, b, &c.origin)
	case executableTable.kind:
		return collect(executableTable, content, b, &c.executables)
	case regionTable.kind:
		return collect(regionTable, content, b, &c.regions)
	case mappingTable.kind:
		return collect(mappingTable, content, b, &c.mappings)
	case samplingTable.kind:
		return collect(samplingTable, content, b, &c.steps)
	case endedTable.kind:
		return collect(endedTable, content, b, &c.ended)
	case figureTable.kind:
		return collect(figureTable, content, b, &c.figures)
	case bucketTable.kind:
		return collect(bucketTable, content, b, &c.buckets)
	case runTable.kind:
		return collect(runTable, content, b, &c.runs)
	case statsTable.kind:
		return collect(statsTable, content, b, &c.stats)
	case noteTable.kind:
		return collect(noteTable, content, b, &c.notes)
	case codeTable.kind:
		return c.takeCode(content, b)
	case stackTable.kind:
		return c.takeStacks(content, b)
	case groupTable.kind:
		return collect(groupTable, content, b, &c.groups)
	case threadTable.kind:
		return collect(threadTable, content, b, &c.threads)
	case spanTable.kind:
		return c.takeSpans(content, b)
	case requestTable.kind:
		return collect(requestTable, content, b, &c.requests)
	case faultTable.kind:
		return collect(faultTable, content, b, &c.faults)
	case windowTable.kind:
		return collect(windowTable, content, b, &c.windows)
	case curveTable.kind:
		before := c.curves.n
		err := collect(curveTable, content, b, &c.curves)
		return errors.Join(err, b.charge(int64(c.curves.n-before)*pointText))
	case eventTable.kind:
		return collect(eventTable, content, b, &c.events)
	case blockedTable.kind:
		return collect(blockedTable, content, b, &c.blocked)
	case missTable.kind:
		before := c.misses.n
		err := collect(missTable, content, b, &c.misses)
		return errors.Join(err, b.charge(int64(c.misses.n-before)*pointText))
	case endTable.kind:
		c.whole = true
		if err := collect(endTable, content, b, &c.end); err != nil {
			return err
		}
		if c.end.n != 1 || c.end.parts[0][0].frames != in.frames-1 {
			return fmt.Errorf("parts are missing: there are %d", in.frames-1)
		}
	}
	return nil
}

func collect[T any](t table[T], content []byte, b *budget, to *rows[T]) error {
	part, err := t.read(content, b)
	to.add(part)
	return err
}

// mapEntry is about what an entry of a map takes beside its key and value.
const mapEntry = 48

func (c *contents) takeCode(content []byte, b *budget) error {
	list, err := codeTable.read(content, b)
	if err == nil {
		err = b.charge(int64(len(list)) * (mapEntry + sizeOf[runtime.Frame]()))
	}
	if err != nil {
		return err
	}
	if c.code == nil {
		c.code = make(map[uintptr][]runtime.Frame)
	}
	for _, f := range list {
		if len(c.code[f.after]) == inlineMost {
			return fmt.Errorf("more than %d functions at one address", inlineMost)
		}
		c.code[f.after] = append(c.code[f.after], f.Frame)
	}
	return nil
}

// takeStacks charges for the functions of a stack as well: who shows it lists them, and one address may have many.
func (c *contents) takeStacks(content []byte, b *budget) error {
	part, err := stackTable.read(content, b)
	if err != nil {
		return err
	}
	for _, pcs := range part {
		if len(pcs) > stackMost {
			return fmt.Errorf("a stack of %d", len(pcs))
		}
		n := 0
		for i, pc := range pcs {
			if i == 0 {
				pc++ // see Snapshot.FramesAt
			}
			n += len(c.code[pc])
		}
		if err := b.charge(int64(n) * 16); err != nil {
			return err
		}
	}
	c.stacks.add(part)
	return nil
}

func (c *contents) takeSpans(content []byte, b *budget) error {
	list, err := spanTable.read(content, b)
	if err == nil {
		err = b.charge(int64(len(list)) * (mapEntry + sizeOf[span]()))
	}
	if err != nil {
		return err
	}
	if c.spans == nil {
		c.spans = make(map[profiler.SpanRef]profiler.SpanStats)
	}
	for _, s := range list {
		c.spans[s.ref] = s.SpanStats
	}
	return nil
}

// recording puts the rows together.
func (c *contents) recording() (*Recording, error) {
	var o origin
	if list := c.origin.all(); len(list) > 0 {
		o = list[0]
	}
	o.Origin.Written = timeOf(o.written)
	s := &profiler.Snapshot{
		Start: timeOf(o.start), End: timeOf(o.end), StartMono: o.startMono, EndMono: o.endMono,
		Regions: c.regions.all(), Groups: c.groups.all(), Faults: c.faults.all(), Threads: c.threads.all(), Events: c.events.all(), Blocked: c.blocked.all(),
	}
	if list := c.stats.all(); len(list) > 0 {
		s.Stats = list[0]
	}
	s.Stats.Notes = c.notes.all()
	p := profiler.Parts{Stacks: c.stacks.all(), Code: c.code, Spans: c.spans}
	if p.Code == nil {
		p.Code = make(map[uintptr][]runtime.Frame)
	}
	if p.Spans == nil {
		p.Spans = make(map[profiler.SpanRef]profiler.SpanStats)
	}
	var err error
	if p.Touched, err = c.fillRegions(s.Regions); err != nil {
		return nil, err
	}
	sets := c.workingSets(s.Regions)
	if s, err = profiler.RestoreSnapshot(s, p); err != nil {
		return nil, err
	}
	r := &Recording{Origin: o.Origin, Snapshot: s, Requests: c.requests.all(), Executables: c.executables.all(), WorkingSets: sets, Memory: c.figures.all()}
	if list := c.ended.all(); len(list) > 0 {
		r.Ended = list[0]
	}
	return r, nil
}

// fillRegions gives the regions what has tables of its own.
func (c *contents) fillRegions(regions []profiler.RegionStats) ([][]profiler.Granules, error) {
	index := make(map[profiler.RegionID]int, len(regions))
	for i := range regions {
		index[regions[i].ID] = i
	}
	at := func(id profiler.RegionID) (*profiler.RegionStats, error) {
		i, ok := index[id]
		if !ok {
			return nil, fmt.Errorf("region %d is not one of the %d", id, len(regions))
		}
		return &regions[i], nil
	}
	for _, part := range c.mappings.parts {
		for _, m := range part {
			r, err := at(m.region)
			if err != nil {
				return nil, err
			}
			r.Mappings = append(r.Mappings, m.MappingStats)
		}
	}
	for _, part := range c.steps.parts {
		for _, st := range part {
			r, err := at(st.region)
			if err != nil {
				return nil, err
			}
			r.Sampling = append(r.Sampling, st.SamplingStep)
		}
	}
	stalls := make([][2][]bucket, len(regions))
	for _, part := range c.buckets.parts {
		for _, b := range part {
			if _, err := at(b.region); err != nil {
				return nil, err
			}
			which := 0
			if b.disk {
				which = 1
			}
			of := &stalls[index[b.region]][which]
			*of = append(*of, b)
		}
	}
	touched := make([][]profiler.Granules, len(regions))
	for _, part := range c.runs.parts {
		for _, g := range part {
			if _, err := at(g.region); err != nil {
				return nil, err
			}
			i := index[g.region]
			touched[i] = append(touched[i], g.Granules)
		}
	}
	for i := range regions {
		r := &regions[i]
		r.Stall, r.Disk = histogram(r.Stall, stalls[i][0]), histogram(r.Disk, stalls[i][1])
	}
	c.mappings, c.steps, c.buckets, c.runs = rows[mapping]{}, rows[sampling]{}, rows[bucket]{}, rows[run]{}
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
