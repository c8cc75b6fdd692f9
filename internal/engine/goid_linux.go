//go:build linux && (amd64 || arm64)

package engine

import (
	"bytes"
	"runtime"
	"strconv"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// gWords is how far into a g the ids are looked for, in words.
const gWords = 64

// goidOffsets finds where this Go runtime keeps a goroutine's id and its parent's id in the g. The
// layout is not documented, so it is measured: the ids of several goroutines are known from their
// stack dumps, and an offset counts only when it is the one that holds the right value in all of
// them. 0 means not found; then goroutines stay unknown, and so do spans.
func goidOffsets() (goid, parent uintptr) {
	const trials = 12
	ids, parents := make([]bool, gWords), make([]bool, gWords)
	for i := range ids {
		ids[i], parents[i] = true, true
	}
	for range trials {
		// A new parent each time, so that its id differs too.
		done := make(chan struct{})
		go func() {
			mother := dumpedID()
			child := make(chan struct{})
			go func() {
				match(ids, dumpedID())
				match(parents, mother)
				close(child)
			}()
			<-child
			close(done)
		}()
		<-done
	}
	return only(ids), only(parents)
}

// match keeps the words of the current g that hold v. It may read what lies behind the g, which the address sanitizer
// would take for a mistake.
//
//go:norace
func match(words []bool, v uint64) {
	g := raw.G()
	for i := range words {
		words[i] = words[i] && v != 0 && *at[uint64](g + uintptr(i)*8) == v
	}
}

// only returns the offset of the single word left, or 0.
func only(words []bool) uintptr {
	found := uintptr(0)
	for i, ok := range words {
		if ok && found != 0 {
			return 0
		}
		if ok {
			found = uintptr(i) * 8
		}
	}
	return found
}

// dumpedID reads the current goroutine's id from its stack dump.
func dumpedID() uint64 {
	var buf [64]byte
	return idOfDump(buf[:runtime.Stack(buf[:], false)])
}

// idOfDump reads the id of "goroutine 7 [running]:", and 0 of anything else.
func idOfDump(dump []byte) uint64 {
	f := bytes.Fields(dump)
	if len(f) < 3 || string(f[0]) != "goroutine" || f[2][0] != '[' {
		return 0
	}
	id, err := strconv.ParseUint(string(f[1]), 10, 64)
	if err != nil {
		return 0
	}
	return id
}
