package metrics

import (
	"sync"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// names bounds how many groups of regions have a name of their own. Regions of one group count together, such as the segments of
// a log, or a file that was detached and attached again. Which name a group has is decided when its first region is met, and never
// changes: so no total of a name ever goes back, and all names together add up. It is safe for concurrent use.
type names struct {
	group func(profiler.RegionID) string

	mu    sync.Mutex        // guards what follows
	next  profiler.RegionID // all before it were met
	named map[string]bool
	byID  map[profiler.RegionID]string // answers, since asking takes the profiler's lock
}

// rememberMost bounds the answers that are remembered.
const rememberMost = 1 << 13

func newNames(group func(profiler.RegionID) string) *names {
	return &names{group: group, named: make(map[string]bool), byID: make(map[profiler.RegionID]string)}
}

// of returns the name under which a region counts. Regions are met in the order of their ids.
func (n *names) of(id profiler.RegionID) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if name, ok := n.byID[id]; ok {
		return name
	}
	for ; n.next <= id; n.next++ {
		if group := n.group(n.next); group != exporter.RegionOther && len(n.named) < exporter.MetricRegions {
			n.named[group] = true
		}
	}
	name := n.group(id)
	if !n.named[name] {
		name = exporter.RegionOther
	}
	if len(n.byID) == rememberMost {
		clear(n.byID)
	}
	n.byID[id] = name
	return name
}

// option is an attribute set that is made once; a measurement with it allocates nothing.
func option(attrs ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attrs...))
}

// stallKey is what tells the stalls of a region apart.
type stallKey struct {
	region string
	source profiler.Source
}

// sets are the attribute sets of the histograms.
type sets struct {
	names   *names
	regions map[string][]metric.RecordOption
	stalls  map[stallKey][]metric.RecordOption
}

func newSets(n *names) *sets {
	return &sets{names: n, regions: make(map[string][]metric.RecordOption), stalls: make(map[stallKey][]metric.RecordOption)}
}

func (s *sets) region(id profiler.RegionID) []metric.RecordOption {
	name := s.names.of(id)
	o, ok := s.regions[name]
	if !ok {
		o = []metric.RecordOption{option(attribute.String(exporter.KeyRegion, name))}
		s.regions[name] = o
	}
	return o
}

func (s *sets) stall(id profiler.RegionID, source profiler.Source) []metric.RecordOption {
	k := stallKey{s.names.of(id), source}
	o, ok := s.stalls[k]
	if !ok {
		o = []metric.RecordOption{option(attribute.String(exporter.KeyRegion, k.region), attribute.String(exporter.KeySource, source.String()))}
		s.stalls[k] = o
	}
	return o
}
