//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"

	"github.com/firsttouch/firsttouch/internal/engine"
)

// isMemory: its pages are moved, and its mappings are not looked for.
func (r *Region) isMemory() bool { return r.kind == KindArena || r.kind == KindMemory }

// rearmMemory arms private memory with its contents. The caller holds r.mu.
func (r *Region) rearmMemory(limit uint64) error {
	start := engine.Now()
	var errs []error
	for _, m := range r.maps {
		if err := locked(m.Lo, m.Hi); err != nil {
			errs = append(errs, fmt.Errorf("region %q: %w", r.name, err))
			continue
		}
		took, err := r.armSampled(m, limit)
		r.longest = max(r.longest, took)
		if err != nil {
			errs = append(errs, fmt.Errorf("region %q: %w", r.name, wrap(err)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	size := int64(0)
	r.update(func(s *RegionStats) { s.Rearms++; s.Stopped = r.longest; size = s.Size })
	r.stepTo(limit, start)
	r.publishMaps(size) // they are armed since now
	return nil
}
