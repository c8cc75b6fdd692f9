//go:build linux && (amd64 || arm64)

package engine

import (
	"testing"
	"unsafe"
)

// The sizes are written as numbers where the hot path multiplies with them.
func TestSizesOfOffHeapStructs(t *testing.T) {
	for _, c := range []struct {
		name       string
		size, want uintptr
	}{
		{"Record", unsafe.Sizeof(Record{}), 64},
		{"target", unsafe.Sizeof(target{}), targetSize},
		{"thread", unsafe.Sizeof(thread{}), threadSize},
		{"job", unsafe.Sizeof(job{}), jobSize},
		{"table.ents", unsafe.Offsetof(table{}.ents), tableHeader},
		{"worker.code", unsafe.Offsetof(worker{}.code), 0},
	} {
		if c.size != c.want {
			t.Errorf("%s is %d bytes, the code says %d", c.name, c.size, c.want)
		}
	}
}
