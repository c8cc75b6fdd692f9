package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/firsttouch/firsttouch/internal/plain"
)

// columns are the rows of one table, column by column: the values of a column are alike, so that they
// are compressed well together, and a reader can skip a column that it does not know. A table has one
// function that names its columns. It serves both directions: where columns were made for writing,
// the function's values are appended, and otherwise they are set.
type columns struct {
	reading bool
	list    []column // by id
	err     error    // of reading, the first one
	budget  *budget  // of reading
}

type column struct {
	data []byte // while reading: what is left
	last int64  // of the row before, for differences
}

// maxColumns bounds the ids.
const maxColumns = 64

var errShort = errors.New("a column ends within a value")

func (c *columns) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *columns) at(id int) *column {
	for len(c.list) <= id {
		c.list = append(c.list, column{})
	}
	return &c.list[id]
}

// signed passes a number as a zigzag varint. A column that is not there is all zeros.
func (c *columns) signed(id int, v int64) int64 {
	col := c.at(id)
	if !c.reading {
		col.data = binary.AppendVarint(col.data, v)
		return v
	}
	if col.data == nil {
		return 0
	}
	v, n := binary.Varint(col.data)
	if n <= 0 {
		c.fail(fmt.Errorf("column %d: %w", id, errShort))
		return 0
	}
	col.data = col.data[n:]
	return v
}

type integer interface {
	~int | ~int32 | ~int64 | ~uint8 | ~uint32 | ~uint64 | ~uintptr
}

// number passes an integer.
func number[T integer](c *columns, id int, v *T) { convert(c, id, v, c.signed(id, int64(*v))) }

// step passes an integer as its difference to the row before.
func step[T integer](c *columns, id int, v *T) {
	col := c.at(id)
	d := c.signed(id, int64(*v)-col.last)
	col = c.at(id)
	col.last += d
	convert(c, id, v, col.last)
}

// convert sets what is read. What is written may be others', who read it meanwhile: it stays untouched.
func convert[T integer](c *columns, id int, v *T, n int64) {
	if !c.reading {
		return
	}
	if int64(T(n)) != n {
		c.fail(fmt.Errorf("column %d: %d is out of range", id, n))
		return
	}
	*v = T(n)
}

// real passes a number as the difference of its IEEE 754 bits to those of the row before.
func real(c *columns, id int, v *float64) {
	bits := int64(math.Float64bits(*v))
	step(c, id, &bits)
	if !c.reading {
		return
	}
	if *v = math.Float64frombits(uint64(bits)); math.IsNaN(*v) || math.IsInf(*v, 0) {
		c.fail(fmt.Errorf("column %d: %v is no number", id, *v))
	}
}

func flag(c *columns, id int, v *bool) {
	n := int64(0)
	if *v {
		n = 1
	}
	if n = c.signed(id, n); c.reading {
		*v = n != 0
	}
}

// octets passes bytes, behind their number.
func (c *columns) octets(id int, v []byte) []byte {
	col := c.at(id)
	if !c.reading {
		col.data = binary.AppendUvarint(col.data, uint64(len(v)))
		col.data = append(col.data, v...)
		return v
	}
	if col.data == nil {
		return nil
	}
	size, n := binary.Uvarint(col.data)
	if n <= 0 || size > uint64(len(col.data)-n) {
		c.fail(fmt.Errorf("column %d: %w", id, errShort))
		return nil
	}
	v, col.data = col.data[n:n+int(size)], col.data[n+int(size):]
	return v
}

// textMost bounds a text, of which more is cut off: it is a name, or a sentence.
const textMost = 64 << 10

// text passes a text. What is no UTF-8 is made so in both directions: everything that recordings are turned into has to
// be, and one such name would cost all of it.
func text[T ~string](c *columns, id int, v *T) {
	if !c.reading {
		s := plain.Valid(string(*v))
		c.octets(id, []byte(plain.Cut(s, textMost)))
		return
	}
	b := c.octets(id, nil)
	if len(b) > textMost {
		c.fail(fmt.Errorf("column %d: a text of %d bytes", id, len(b)))
	} else if c.charge(int64(len(b))) {
		*v = T(plain.Valid(string(b)))
	}
}

// charge reports whether there may be n bytes more.
func (c *columns) charge(n int64) bool {
	err := c.budget.charge(n)
	if err != nil {
		c.fail(err)
	}
	return err == nil
}

// fixed passes bytes whose number is known; none stand for zeros.
func fixed(c *columns, id int, v []byte) {
	b := v
	if !c.reading && allZero(v) {
		b = nil
	}
	switch b = c.octets(id, b); {
	case !c.reading:
	case len(b) == 0:
		clear(v)
	case len(b) != len(v):
		c.fail(fmt.Errorf("column %d: %d bytes, want %d", id, len(b), len(v)))
	default:
		copy(v, b)
	}
}

func allZero(v []byte) bool {
	for _, b := range v {
		if b != 0 {
			return false
		}
	}
	return true
}

// series passes a list of integers behind its length, each as its difference to the one before it
// in the column.
func series[T integer](c *columns, id int, v *[]T) {
	n := c.signed(id, int64(len(*v)))
	if c.reading {
		if n < 0 || n > int64(len(c.at(id).data)) {
			c.fail(fmt.Errorf("column %d: a list of %d", id, n))
			return
		}
		if !c.charge(n * sizeOf[T]()) {
			return
		}
		*v = make([]T, n)
		if n == 0 {
			*v = nil
		}
	}
	for i := range *v {
		step(c, id, &(*v)[i])
	}
}
