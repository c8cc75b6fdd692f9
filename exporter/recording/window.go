package recording

import "time"

// window holds the latest of what happened, in chunks, of which the oldest goes as a whole.
type window[T any] struct {
	minAge time.Duration
	most   int // bytes
	item   int // bytes of a T
	when   func(*T) time.Duration
	extra  func(*T) int // bytes that a T refers to

	chunks []*chunk[T]
	bytes  int
	added  uint64 // in all
}

type chunk[T any] struct {
	items []T
	bytes int
}

const (
	chunkItems = 1024
	chunkShare = 8 // a chunk is at most this part of the window, so that little goes at once
)

func (w *window[T]) add(v T) {
	w.added++
	c := w.last()
	if c == nil || len(c.items) == cap(c.items) || c.bytes >= w.most/chunkShare {
		n := max(min(chunkItems, w.most/chunkShare/w.item), 1)
		c = &chunk[T]{items: make([]T, 0, n), bytes: n * w.item}
		w.chunks = append(w.chunks, c)
		w.bytes += c.bytes
	}
	c.items = append(c.items, v)
	c.bytes += w.extra(&v)
	w.bytes += w.extra(&v)
	w.expire(w.when(&v))
}

func (w *window[T]) last() *chunk[T] {
	if len(w.chunks) == 0 {
		return nil
	}
	return w.chunks[len(w.chunks)-1]
}

// expire drops chunks that are old enough, and more where there is no room.
func (w *window[T]) expire(now time.Duration) {
	for len(w.chunks) > 1 {
		c := w.chunks[0]
		if w.bytes <= w.most && now-w.when(&c.items[len(c.items)-1]) <= w.minAge {
			return
		}
		w.bytes -= c.bytes
		w.chunks[0] = nil
		w.chunks = w.chunks[1:]
	}
}

// held returns what is in the window, without what was added after the first n.
func (w *window[T]) held(n uint64) (out []T) {
	for _, c := range w.chunks {
		out = append(out, c.items...)
	}
	if later := w.added - min(n, w.added); later < uint64(len(out)) {
		return out[:uint64(len(out))-later]
	}
	return nil
}
