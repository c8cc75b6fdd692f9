//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// passes notes that the thread of a record leaves the signal handler: if its granule has been filled meanwhile it goes on at
// once, not when it is woken.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Record) passes() {
	raw.Cas64((*uint64)(unsafe.Pointer(&r.Stall)), 0, uint64(r.Time-raw.Nanotime()))
}

// stalled sets the stall: that from the claim until now, or until its thread left the signal handler, if that was after the
// fill of a single page had begun: that takes less time than meeting the fault again. One that left before has met it
// again, and waits. So may one that left during a longer fill, of which filling is 0: its stall is too long where the
// reader loses its processor before it reads the clock.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Record) stalled(stall, filling int64) {
	p := (*uint64)(unsafe.Pointer(&r.Stall))
	for {
		left := raw.Load64(p) // 0, or the stall until passes, negative
		n := stall
		if left != 0 && filling != 0 && r.Time-int64(left) > filling {
			n = min(n, -int64(left))
		}
		if raw.Cas64(p, left, uint64(max(n, 1))) {
			return
		}
	}
}
