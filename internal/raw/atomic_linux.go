//go:build !race && linux && (amd64 || arm64)

package raw

import "sync/atomic"

// The compiler makes instructions of these, no calls. It is the hot path: calls would be a fiftieth of a fault's time.

// Load32 is an atomic load with acquire order.
//
//go:nosplit
//go:norace
func Load32(p *uint32) uint32 { return atomic.LoadUint32(p) }

// Load64 is an atomic load with acquire order.
//
//go:nosplit
//go:norace
func Load64(p *uint64) uint64 { return atomic.LoadUint64(p) }

// Store32 is an atomic store with sequential consistency.
//
//go:nosplit
//go:norace
func Store32(p *uint32, v uint32) { atomic.StoreUint32(p, v) }

// Store64 is an atomic store with sequential consistency.
//
//go:nosplit
//go:norace
func Store64(p *uint64, v uint64) { atomic.StoreUint64(p, v) }

// Cas32 is an atomic compare-and-swap.
//
//go:nosplit
//go:norace
func Cas32(p *uint32, old, new uint32) bool { return atomic.CompareAndSwapUint32(p, old, new) }

// Cas64 is an atomic compare-and-swap.
//
//go:nosplit
//go:norace
func Cas64(p *uint64, old, new uint64) bool { return atomic.CompareAndSwapUint64(p, old, new) }

// Add32 adds atomically and returns the new value.
//
//go:nosplit
//go:norace
func Add32(p *uint32, delta uint32) uint32 { return atomic.AddUint32(p, delta) }

// Add64 adds atomically and returns the new value.
//
//go:nosplit
//go:norace
func Add64(p *uint64, delta uint64) uint64 { return atomic.AddUint64(p, delta) }
