package perfevents

import (
	"encoding/binary"
	"sync/atomic"
)

// ring is a buffer that the kernel writes to (struct perf_event_mmap_page): the records between tail, which the reader moves, and
// head, which the kernel does. Both go on for ever; the place is what is left of them by the buffer's length, a power of two.
type ring struct {
	head, tail *uint64
	data       []byte
	whole      []byte // one record that begins at the end of the buffer and goes on at its beginning
}

// used is how many bytes of it are filled.
func (r *ring) used() uint64 { return atomic.LoadUint64(r.head) - *r.tail }

// read calls f with each record that there is, and gives its room back to the kernel afterwards. What f gets is valid until it
// returns. ok is false where the buffer made no sense: what was in it is lost.
func (r *ring) read(f func(record []byte)) (ok bool) {
	head := atomic.LoadUint64(r.head) // before what it announces
	tail := *r.tail                   // nobody else writes it
	size := uint64(len(r.data))
	ok = head-tail <= size
	for ok && tail != head {
		at := tail & (size - 1)
		if ok = size-at >= headerLen && head-tail >= headerLen; !ok { // records are of whole words
			break
		}
		n := uint64(binary.NativeEndian.Uint16(r.data[at+6:]))
		if ok = n >= headerLen && n%8 == 0 && n <= head-tail; !ok {
			break
		}
		record := r.data[at:]
		if n > size-at {
			r.whole = append(append(r.whole[:0], record...), r.data[:n-(size-at)]...)
			record = r.whole
		}
		f(record[:n])
		tail += n
	}
	atomic.StoreUint64(r.tail, head) // after what was read
	return ok
}
