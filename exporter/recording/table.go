package recording

import (
	"encoding/binary"
	"fmt"
)

// table is a kind of rows: its number in the format, and the function that names its columns.
type table[T any] struct {
	kind  byte
	visit func(*columns, *T)
}

// rowsMost bounds the rows of one frame, so that a reader needs memory for one frame. A writer makes
// smaller ones, since what is lost with one is to be little.
const (
	rowsMost    = 1 << 16
	rowsWritten = 1 << 10
)

// write writes rows in as many frames as it takes.
func (t table[T]) write(w *writer, rows []T) {
	for len(rows) > 0 && w.err == nil {
		n := min(len(rows), rowsWritten)
		content := t.encode(rows[:n])
		for len(content) > contentCap && n > 1 {
			n /= 2
			content = t.encode(rows[:n])
		}
		w.frame(t.kind, content)
		rows = rows[n:]
	}
}

func (t table[T]) encode(rows []T) []byte {
	var c columns
	for i := range rows {
		t.visit(&c, &rows[i])
	}
	return encodeColumns(&c, len(rows))
}

// read returns the rows of one frame.
func (t table[T]) read(content []byte, b *budget) ([]T, error) {
	c, n, err := decodeColumns(content)
	if err != nil {
		return nil, err
	}
	c.budget = b
	if err := b.charge(int64(n) * sizeOf[T]()); err != nil {
		return nil, err
	}
	rows := make([]T, n)
	for i := range rows {
		if t.visit(c, &rows[i]); c.err != nil {
			return nil, fmt.Errorf("row %d: %w", i, c.err)
		}
	}
	return rows, nil
}

// encodeColumns: the number of rows, then each column as its id, its size and its bytes.
func encodeColumns(c *columns, rows int) []byte {
	out := binary.AppendUvarint(nil, uint64(rows))
	for id, col := range c.list {
		if len(col.data) > 0 {
			out = binary.AppendUvarint(out, uint64(id))
			out = binary.AppendUvarint(out, uint64(len(col.data)))
			out = append(out, col.data...)
		}
	}
	return out
}

func decodeColumns(b []byte) (c *columns, rows int, err error) {
	next := func() (v uint64) {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			err = errShort
			return 0
		}
		b = b[n:]
		return v
	}
	c = &columns{reading: true}
	many, longest := next(), 0
	for err == nil && len(b) > 0 {
		id, size := next(), next()
		if err == nil && (id >= maxColumns || size > uint64(len(b))) {
			err = fmt.Errorf("column %d of %d bytes, in %d", id, size, len(b))
		}
		if err != nil {
			break
		}
		// A value takes a byte or more, so that a small file cannot ask for much memory.
		longest = max(longest, int(size))
		c.at(int(id)).data, b = b[:size:size], b[size:]
	}
	if err == nil && many > min(rowsMost, uint64(longest)) {
		err = fmt.Errorf("%d rows", many)
	}
	if err != nil {
		return nil, 0, err
	}
	return c, int(many), nil
}
