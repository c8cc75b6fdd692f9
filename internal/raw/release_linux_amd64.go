//go:build !race

package raw

// A store to aligned memory is one instruction here, and has release order as it is (Intel SDM volume 3, section 9.2);
// sync/atomic has only the one with sequential consistency, which waits for all stores before it.

// Release32 is an atomic store with release order: who loads the value sees what was stored before.
//
//go:nosplit
//go:norace
func Release32(p *uint32, v uint32) { *p = v }

// Release64 is an atomic store with release order.
//
//go:nosplit
//go:norace
func Release64(p *uint64, v uint64) { *p = v }
