//go:build linux && (amd64 || arm64)

package profiler

import (
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
)

// watch has the fold add the touches of a region to t from the answered moment on, until which so many
// records had been dropped.
func (p *Profiler) watch(id RegionID, t *touches) (since time.Duration, dropped uint64) {
	p.Flush()
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	if p.watched == nil {
		p.watched = make(map[RegionID][]*touches)
	}
	p.watched[id] = append(p.watched[id], t)
	p.collect()
	return engine.Now(), p.agg.stats.Dropped
}

func (p *Profiler) unwatch(id RegionID, t *touches) {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	p.watched[id] = slices.DeleteFunc(p.watched[id], func(o *touches) bool { return o == t })
	if len(p.watched[id]) == 0 {
		delete(p.watched, id)
	}
}

// cut ends the windows of regions at one moment.
func (p *Profiler) cut(regions []*windowed) []cut {
	p.Flush()
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	p.collect()
	now := engine.Now()
	var cuts []cut
	for _, r := range regions {
		s := p.agg.region(r.region.id)
		part := s.partIn(r.start, now)
		c := cut{
			order: r.touches.order, now: now, granule: int64(s.Granule), mapped: s.Mapped, dropped: p.agg.stats.Dropped,
			part: part, paused: s.paused(part.since, now),
		}
		if s.Heap != nil {
			c.heap, c.mapped = true, int64(s.Heap.Blocks)*heapBlock
		}
		cuts = append(cuts, c)
		r.touches = touches{}
	}
	return cuts
}
