// Package indexlayout is a small index in a memory-mapped file, whose test guards how many pages a lookup touches (package touchtest).
//
// The keys lie together at the start of the file, 16 bytes each, and the values behind them, 1 KiB each. So a lookup, which looks at some dozen keys,
// touches a few pages of keys and one of values. With each value beside its key it would touch a page for each key that it looks at: the same
// answers, in the same time while all is in memory, and many times as many waits after a restart.
package indexlayout

import (
	"bytes"
	"fmt"
	"os"
	"sort"
)

// Sizes in bytes.
const (
	KeySize   = 16
	ValueSize = 1 << 10
)

// Index finds values by key in a file that is mapped.
type Index struct {
	data   []byte
	n      int
	key    func(i int) int // where the key is
	value  func(i int) int
	layout Layout
}

// Layout is where keys and values lie.
type Layout int

// The layouts.
const (
	KeysTogether Layout = iota
	ValuesBesideKeys
)

// Key is the key of a record.
func Key(i int) []byte { return fmt.Appendf(nil, "key%013d", i) }

// Write writes an index of n records.
func Write(path string, n int, l Layout) error {
	ix := on(make([]byte, n*(KeySize+ValueSize)), n, l)
	for i := range n {
		copy(ix.data[ix.key(i):], Key(i))
		copy(ix.data[ix.value(i):], fmt.Appendf(nil, "the value of record %d", i))
	}
	return os.WriteFile(path, ix.data, 0o644)
}

// on lays an index over memory that holds it.
func on(data []byte, n int, l Layout) *Index {
	ix := &Index{data: data, n: n, layout: l}
	if l == KeysTogether {
		ix.key = func(i int) int { return i * KeySize }
		ix.value = func(i int) int { return n*KeySize + i*ValueSize }
	} else {
		ix.key = func(i int) int { return i * (KeySize + ValueSize) }
		ix.value = func(i int) int { return i*(KeySize+ValueSize) + KeySize }
	}
	return ix
}

// Keys is the part of the file that holds keys alone, in bytes.
func (ix *Index) Keys() (offset, length int64) {
	if ix.layout != KeysTogether {
		return 0, 0
	}
	return 0, int64(ix.n * KeySize)
}

// Value is where the value of a record lies, in bytes.
func (ix *Index) Value(i int) (offset, length int64) { return int64(ix.value(i)), ValueSize }

// Lookup finds the value of a key; nil where there is none.
func (ix *Index) Lookup(key []byte) []byte {
	i := sort.Search(ix.n, func(i int) bool { return bytes.Compare(ix.data[ix.key(i):ix.key(i)+KeySize], key) >= 0 })
	if i == ix.n || !bytes.Equal(ix.data[ix.key(i):ix.key(i)+KeySize], key) {
		return nil
	}
	value, _, _ := bytes.Cut(ix.data[ix.value(i):ix.value(i)+ValueSize], []byte{0})
	return value
}
