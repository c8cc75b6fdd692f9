package pprof

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// ByAddress returns the profile of a snapshot by memory: the stack of a sample is its region, then
// its MiB, its 64 KiB and its granule. The caller owns the result. ByAddress is safe for concurrent
// use.
func ByAddress(s *profiler.Snapshot, opts ...Option) *profile.Profile {
	c := newConfig(opts)
	b := newBuilder(s, c, "address space: which memory was touched")
	unit := resolution(s, c.places)
	if unit > 1 {
		b.p.Comments = append(b.p.Comments, fmt.Sprintf("stacks end at %s: more than %d smaller places were touched", sizeName(unit), c.places))
	}
	names := displayNames(s.Regions)
	for i := range s.Regions {
		r := &s.Regions[i]
		sp := b.newSpace(r, names[i])
		places, rest := placesOf(s, r, unit)
		by, round := regionScale(r), rounder{}
		for _, k := range slices.SortedFunc(maps.Keys(places), placeKey.compare) {
			labels := []string{exporter.LabelRegion, r.Name}
			if k.faulted {
				labels = append(labels, exporter.LabelAccess, k.access.String(), exporter.LabelSource, k.source.String())
			}
			b.sample(round.scaled(*places[k], by), sp.stack(k.offset, unit), labels...)
		}
		if rest != (value{}) {
			b.sample(round.scaled(rest, by), []*profile.Location{b.synthetic(exporter.FrameNotLogged), sp.region()}, exporter.LabelRegion, r.Name)
		}
	}
	return b.p
}

// placeKey is one sample of a region: a place, and how it was touched. A place that is known to be
// touched but has no fault in the log has neither access nor source.
type placeKey struct {
	offset  int64
	faulted bool
	access  profiler.Access
	source  profiler.Source
}

func (k placeKey) compare(o placeKey) int {
	faulted := func(k placeKey) int {
		if k.faulted {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(k.offset, o.offset), cmp.Compare(faulted(k), faulted(o)),
		cmp.Compare(k.access, o.access), cmp.Compare(k.source, o.source))
}

// placesOf divides a region's totals by place. rest is the part of its faults that is not in the log.
func placesOf(s *profiler.Snapshot, r *profiler.RegionStats, unit int64) (places map[placeKey]*value, rest value) {
	places = make(map[placeKey]*value)
	var last placeKey // neighbours come after each other
	var sum *value
	add := func(k placeKey, v value) {
		if sum == nil || k != last {
			if last, sum = k, places[k]; sum == nil {
				sum = &value{}
				places[k] = sum
			}
		}
		*sum = sum.plus(v)
	}
	account := newAccountant(r)
	rest = value{faults: int64(r.Faults), stall: r.Stall.Sum}
	for i := range s.Faults {
		f := &s.Faults[i]
		if f.Region != r.ID || !r.TouchedAt(f.Offset) {
			continue
		}
		v := value{1, account.take(f.Offset), f.Stall}
		add(placeKey{place(r, f.Offset, unit), true, f.Access, f.Source}, v)
		rest.faults--
		rest.stall -= f.Stall
	}
	size := max(unit, int64(r.Granule))
	for g := range r.Runs {
		for at, end := int64(g.First)*int64(r.Granule), int64(g.First+g.Count)*int64(r.Granule); at < end; {
			start := at - at%size
			stop := min(end, start+min(size, math.MaxInt64-start))
			if n := account.takeRest(at, stop); n > 0 {
				add(placeKey{offset: start}, value{touched: n})
			}
			at = stop
		}
	}
	if r.Past > 0 { // what is added up has no places
		rest.touched = account.left
	}
	return places, rest
}
