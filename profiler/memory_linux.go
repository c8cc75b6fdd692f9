//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
)

// isMemory: its pages are moved, and its mappings are not looked for.
func (r *Region) isMemory() bool { return r.kind == KindArena || r.kind == KindMemory }

// rearmMemory arms private memory with its contents. The caller holds r.mu.
func (r *Region) rearmMemory() error {
	var errs []error
	for _, m := range r.maps {
		if err := locked(m.Lo, m.Hi); err != nil {
			errs = append(errs, fmt.Errorf("region %q: %w", r.name, err))
			continue
		}
		took, err := r.p.eng.RearmMemory(m.Target, r.guard())
		r.longest = max(r.longest, took)
		if err != nil {
			errs = append(errs, fmt.Errorf("region %q: %w", r.name, wrap(err)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	size := int64(0)
	r.update(func(s *RegionStats) { s.Stopped = r.longest; size = s.Size })
	r.rearmed()
	r.publishMaps(size) // they are armed since now
	return nil
}
