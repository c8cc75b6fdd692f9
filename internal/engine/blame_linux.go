//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// slowFault is from when on a fault, in ns, is looked at for whose doing its length was.
const slowFault = 1e9

// stillFrom is from when on a sleep of the watchdog, in ns, says that the whole process stood still: it was stopped
// by SIGSTOP or a debugger, or frozen, or got no processor.
const stillFrom = 2 * lookEvery * 1e6

// blame notes a fault that took slowFault or longer since the worker has it if neither storage nor a standstill of
// the whole process explains that.
//
//go:nosplit
//go:norace
//go:nocheckptr
func blame(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	now := raw.Nanotime()
	ours := now - w.now.time - w.now.waited - s.standstill(w.now.time, now, w.now.still)
	for {
		longest := raw.Load64(&s.slowest)
		if ours < slowFault || uint64(ours) <= longest || raw.Cas64(&s.slowest, longest, uint64(ours)) {
			return
		}
	}
}

// standstill is for how long the whole process stood still since then, when shared.still was before.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) standstill(then, now int64, before uint64) int64 {
	stood := int64(raw.Load64(&s.still) - before)
	if asleep := int64(raw.Load64(&s.asleep)); now-asleep > stillFrom {
		stood += now - max(asleep, then) // the watchdog has not told yet
	}
	return stood
}

// endStorage ends what has waited for storage: that is not the engine's doing.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (w *worker) endStorage(begun int64) {
	w.now.waited += raw.Nanotime() - begun
	raw.Store32(&w.storing, 0)
}

// relieves counts what the watchdog does in place of others. It does so because of storage where that is what they
// all wait for, from one worker on up to another one.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) relieves(n uint64, from, to uintptr) {
	raw.Add64(&s.relieved, n)
	for i := from; i < to; i++ {
		p := *at[uintptr](uintptr(unsafe.Pointer(&s.workers)) + i*8)
		if p != 0 && raw.Load32(&at[worker](p).storing) == 0 {
			raw.Add64(&s.stood, n)
			return
		}
	}
}
