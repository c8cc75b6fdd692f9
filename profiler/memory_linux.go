//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"slices"

	"github.com/firsttouch/firsttouch/internal/engine"
)

// againWithin is again for those blocks that are within a limit. The caller holds r.mu.
func (r *Region) againWithin(m *mapping, lockedAny bool, limit uint64) error {
	if m.means == byMove && r.sampleable() {
		if err := r.prepare(m, limit); err != nil {
			return err
		}
	}
	return r.again(m, lockedAny)
}

// isMemory: it is memory at fixed addresses, whose mappings are not looked for.
func (r *Region) isMemory() bool {
	return r.kind == KindArena || r.kind == KindMemory || r.kind == KindGoHeap
}

// rearmMemory arms memory with its contents. The caller holds r.mu.
func (r *Region) rearmMemory(limit uint64) error {
	start := engine.Now()
	lockedAny := r.p.eng.AnyLocked() // once: of the Go heap there are many pieces
	var errs []error
	for _, m := range slices.Clone(r.maps) {
		err := r.againWithin(m, lockedAny, limit)
		if errors.Is(err, engine.ErrGone) { // its owner has unmapped it
			err = r.drop([]*mapping{m})
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("region %q: %w", r.name, r.p.wrap(err)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	size := int64(0)
	r.update(func(s *RegionStats) { s.Stopped = r.longest; size = s.Size })
	r.rearmed()
	r.stepTo(limit, start)
	r.publishMaps(size) // they are armed since now
	return nil
}
