//go:build linux && (amd64 || arm64)

package profiler

import (
	"reflect"
	"runtime"
	"unsafe"
)

// goPage is the unit in which the Go runtime gives out its heap (runtime/sizeclasses.go).
const goPage = 8 << 10

// inGoHeap reports whether some of [lo, hi) is in use by Go's heap, where goroutine stacks live too: the
// resolver itself reads goroutines there and must not fault. A Pinner keeps what it has pinned when,
// and only when, it lies in the heap. ok is false where the runtime does not let us see that.
func inGoHeap(lo, hi uintptr) (in, ok bool) {
	heap, known := pins(unsafe.Pointer(new([goPage]byte)))
	if !known || !heap {
		return false, false
	}
	for ; lo < hi; lo += goPage {
		if in, _ := pins(*(*unsafe.Pointer)(unsafe.Pointer(&lo))); in {
			return true, true
		}
	}
	return false, true
}

// pins reports whether the runtime pins an address.
func pins(p unsafe.Pointer) (pinned, known bool) {
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(p)
	v := reflect.ValueOf(&pin).Elem().FieldByName("pinner")
	if !v.IsValid() || v.Kind() != reflect.Pointer || v.IsNil() {
		return false, v.IsValid()
	}
	refs := v.Elem().FieldByName("refs")
	if !refs.IsValid() || refs.Kind() != reflect.Slice {
		return false, false
	}
	return refs.Len() > 0, true
}

// mayBeGoHeap looks at some addresses of [lo, hi), so that a mapping of any size can be listed. What
// attaches memory looks at all.
func mayBeGoHeap(lo, hi uintptr) bool {
	const looks = 512
	step := max((hi-lo)/looks&^(goPage-1), goPage)
	for ; lo < hi; lo += step {
		if in, ok := inGoHeap(lo, lo+1); in || !ok {
			return true
		}
	}
	return false
}
