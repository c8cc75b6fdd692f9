package uffd

import "runtime"

// featureEvents are the features with which a thread that changes registered memory waits for the
// reader of its message.
const featureEvents = FeatureEventFork | FeatureEventRemap | FeatureEventRemove | FeatureEventUnmap

// again counts the answers EAGAIN of one call. The kernel gives it for two reasons. With an event
// feature, the memory is being changed: that ends when the thread that changes it has run, after its
// message was read, so the reader of the descriptor decides when to try again. Without one, the page
// table changed under the call (pte_offset_map_lock in mm/userfaultfd.c, Linux 6.5): that passes by
// itself.
type again struct{ times int }

// passesWithin bounds the tries, since no kernel is trusted to let a call pass for ever.
const passesWithin = 1000

// passes reports whether the call is to be made again, after it has let others run.
func (a *again) passes(f *FD) bool {
	if f.enabled&featureEvents != 0 || !f.known || a.times == passesWithin {
		return false
	}
	a.times++
	runtime.Gosched()
	return true
}
