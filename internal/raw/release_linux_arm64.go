//go:build !race

package raw

// The instruction for sequential consistency, STLR, is that for release order too.

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
