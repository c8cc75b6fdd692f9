//go:build race && linux && (amd64 || arm64)

package raw

// In a race build these are assembly: sync/atomic is instrumented there, and that needs a g.

// Load32 is an atomic load with acquire order.
//
//go:noescape
func Load32(p *uint32) uint32

// Load64 is an atomic load with acquire order.
//
//go:noescape
func Load64(p *uint64) uint64

// Store32 is an atomic store with sequential consistency.
//
//go:noescape
func Store32(p *uint32, v uint32)

// Store64 is an atomic store with sequential consistency.
//
//go:noescape
func Store64(p *uint64, v uint64)

// Release32 is an atomic store with release order: who loads the value sees what was stored before.
//
//go:nosplit
//go:norace
func Release32(p *uint32, v uint32) { Store32(p, v) }

// Release64 is an atomic store with release order.
//
//go:nosplit
//go:norace
func Release64(p *uint64, v uint64) { Store64(p, v) }

// Cas32 is an atomic compare-and-swap.
//
//go:noescape
func Cas32(p *uint32, old, new uint32) bool

// Cas64 is an atomic compare-and-swap.
//
//go:noescape
func Cas64(p *uint64, old, new uint64) bool

// Add32 adds atomically and returns the new value.
//
//go:noescape
func Add32(p *uint32, delta uint32) uint32

// Add64 adds atomically and returns the new value.
//
//go:noescape
func Add64(p *uint64, delta uint64) uint64
