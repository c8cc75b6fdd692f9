//go:build linux && (amd64 || arm64)

package profiler

import (
	"github.com/firsttouch/firsttouch/internal/perfevents"
)

// Observable reports whether a profiler could observe page faults here without arming anything, see DeliveryObserve, and whether it
// would see those that system calls make. The error says why not, and what would change it; it wraps ErrNotSupported. It opens one
// perf event and closes it.
func Observable() (systemCalls bool, err error) {
	systemCalls, err = perfevents.Possible()
	if err != nil {
		return false, notObservable{err}
	}
	return systemCalls, nil
}

// notObservable is an error of perf events as an ErrNotSupported.
type notObservable struct{ error }

func (e notObservable) Unwrap() []error { return []error{e.error, ErrNotSupported} }
