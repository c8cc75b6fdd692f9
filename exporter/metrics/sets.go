package metrics

import (
	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// names bounds how many regions have a name of their own. Regions of the same name, such as a file that
// was detached and attached again, count together. Ids are dense and only grow, so the choice is the
// same at every collection.
type names struct {
	name  func(profiler.RegionID) string
	byID  []string
	taken map[string]bool
}

func newNames(name func(profiler.RegionID) string) *names {
	return &names{name: name, taken: make(map[string]bool)}
}

// of returns the name under which a region counts.
func (n *names) of(id profiler.RegionID) string {
	for next := profiler.RegionID(len(n.byID)); next <= id; next++ {
		name := n.name(next)
		if !n.taken[name] {
			if len(n.taken) == exporter.MetricRegions {
				name = exporter.RegionOther
			} else {
				n.taken[name] = true
			}
		}
		n.byID = append(n.byID, name)
	}
	return n.byID[id]
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

func newSets(name func(profiler.RegionID) string) *sets {
	return &sets{names: newNames(name), regions: make(map[string][]metric.RecordOption), stalls: make(map[stallKey][]metric.RecordOption)}
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
