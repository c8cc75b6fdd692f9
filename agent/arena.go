package agent

import (
	"errors"
	"fmt"
	"sync"

	"github.com/firsttouch/firsttouch/profiler"
)

// Arena is memory outside the Go heap: zeroed, aligned to the kernel's page, and given back by
// Close only. It must not hold Go pointers. The methods are safe for concurrent use; the bytes
// are as safe as any other slice.
type Arena struct {
	agent  *Agent
	region *profiler.Region // nil where the memory is not profiled

	size int

	mu    sync.Mutex
	bytes []byte // nil after Close
}

// Arena returns size bytes of zeroed memory, profiled under the given name where that is possible
// and wanted (see WithArenas), and plain memory of the same kind where not: a service uses it
// alike in both cases. Why an arena that should be profiled is not is in Notes. A size below 1 is
// ErrInvalid; the only other error is that there is no memory.
func (a *Agent) Arena(name string, size int, opts ...profiler.RegionOption) (*Arena, error) {
	if size < 1 {
		return nil, fmt.Errorf("arena %q: %w: size of %d bytes: choose 1 or more", name, profiler.ErrInvalid, size)
	}
	if a.observes() && a.cfg.wantsArena(name) {
		r, err := a.prof.NewArena(name, size, opts...)
		if err == nil {
			a.own(r)
			return &Arena{agent: a, region: r, size: size, bytes: r.Bytes()[:size:size]}, nil
		}
		if errors.Is(err, profiler.ErrInvalid) {
			return nil, fmt.Errorf("arena %q: %w", name, err)
		}
		a.note("arena %q is plain memory and not profiled: %v", name, err)
	}
	b, err := plainMemory(size)
	if err != nil {
		return nil, fmt.Errorf("arena %q of %d bytes: %w", name, size, err)
	}
	arena := &Arena{agent: a, size: size, bytes: b}
	if a.cfg.shadow && a.cfg.wantsArena(name) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.shadowed[arena] = name
	}
	return arena, nil
}

// Bytes is the memory, or nil after Close.
func (r *Arena) Bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes
}

// Region is the profiled region, or nil where the memory is plain.
func (r *Arena) Region() *profiler.Region { return r.region }

// Close gives the memory back: whoever touches it afterwards crashes the process. A second Close
// does nothing.
func (r *Arena) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bytes
	if b == nil {
		return nil
	}
	r.bytes = nil
	if r.region != nil {
		r.agent.disown(r.region)
		return r.region.Close()
	}
	r.agent.mu.Lock()
	delete(r.agent.shadowed, r)
	r.agent.mu.Unlock()
	return releasePlain(b)
}
