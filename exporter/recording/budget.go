package recording

import (
	"errors"
	"reflect"
)

// What a recording may make of its bytes. A row needs a byte in one of its columns, compressed a thousandth of it, and
// is a hundred bytes or more in memory: without a bound, a kilobyte would ask for a gigabyte. Of real recordings
// a byte becomes some five. While the rows of a table are put together they are there twice, and garbage comes on top, so
// that reading takes 64 MiB and 100 times the file at the most.
const (
	memoryBase  = 6 << 20
	memoryPer   = 32
	contentBase = 64 << 20
	contentPer  = 128
)

var errMemory = errors.New("it asks for more memory than a recording of its size can need")

// budget counts the memory of what was read against the bytes that it was read from.
type budget struct{ used, read int64 }

// charge counts n bytes, before they are taken.
func (b *budget) charge(n int64) error {
	if n < 0 || n > memoryBase+memoryPer*b.read-b.used {
		return errMemory
	}
	b.used += n
	return nil
}

// rows are those of one kind, as they came: they are put together once, at the end.
type rows[T any] struct {
	parts [][]T
	n     int
}

// sizeOf is the memory of a row, without what it refers to.
func sizeOf[T any]() int64 { return int64(reflect.TypeFor[T]().Size()) }

func (r *rows[T]) add(part []T) {
	if len(part) > 0 {
		r.parts, r.n = append(r.parts, part), r.n+len(part)
	}
}

// all takes the rows out; nil where there are none.
func (r *rows[T]) all() []T {
	if r.n == 0 {
		return nil
	}
	out := make([]T, 0, r.n)
	for i, part := range r.parts {
		out = append(out, part...)
		r.parts[i] = nil
	}
	*r = rows[T]{}
	return out
}
