package pclntab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// knownMagic is the only layout this package was written against: Go 1.20 and later
// (Go120PCLnTabMagic, internal/abi/symtab.go in the Go distribution).
const knownMagic = 0xfffffff1

// Fields of runtime.pcHeader (runtime/symtab.go). The words after the first eight bytes are
// pointer-sized.
const (
	hdrPad     = 4
	hdrQuantum = 6
	hdrPtrSize = 7
	hdrWords   = 8

	wordFuncs   = 0 // number of functions
	wordNames   = 3 // offset of the names
	wordFiles   = 4 // offset of what follows the names
	wordPCTab   = 6 // offset of the pc-value tables
	wordFuncTab = 7 // offset of functab, and of the records behind it
	hdrNumWords = 8
)

const ptrSize = bits.UintSize / 8

// ErrLayout is wrapped by every error that says that the function table is not one that this
// package can read correctly.
var ErrLayout = errors.New("function table has an unknown layout")

// parse finds the parts of the table in data, which it keeps. It checks only what makes reading
// safe: whether the layout is the expected one at all is for calibrate to find out, so that a
// newer magic number alone is no reason to refuse.
func parse(data []byte) (*Table, error) {
	if len(data) < hdrWords+hdrNumWords*ptrSize {
		return nil, fmt.Errorf("%w: %d bytes are too short for a header", ErrLayout, len(data))
	}
	magic := binary.NativeEndian.Uint32(data)
	q := data[hdrQuantum]
	if data[hdrPad] != 0 || data[hdrPad+1] != 0 || data[hdrPtrSize] != ptrSize || q != 1 && q != 2 && q != 4 {
		return nil, fmt.Errorf("%w: header %x (magic %#x, known is %#x)", ErrLayout, data[:hdrWords], magic, uint32(knownMagic))
	}
	t := &Table{quantum: uint64(q)}
	for _, part := range []struct {
		word int
		to   *[]byte
	}{{wordNames, &t.names}, {wordPCTab, &t.pctab}, {wordFuncTab, &t.funcs}} {
		off := headerWord(data, part.word)
		if off > uint64(len(data)) {
			return nil, fmt.Errorf("%w: word %d of the header points to %#x, behind the end at %#x", ErrLayout, part.word, off, len(data))
		}
		*part.to = data[off:]
	}
	if names, after := headerWord(data, wordNames), headerWord(data, wordFiles); names < after && after <= uint64(len(data)) {
		t.names = data[names:after]
	}
	n := headerWord(data, wordFuncs)
	// One entry for each function and the end of the last one.
	if n == 0 || n > math.MaxInt32 || n*functabEntry+functabEntry/2 > uint64(len(t.funcs)) {
		return nil, fmt.Errorf("%w: %d functions in %d bytes", ErrLayout, n, len(t.funcs))
	}
	t.nfunc = int(n)
	return t, nil
}

func headerWord(data []byte, i int) uint64 {
	b := data[hdrWords+i*ptrSize:]
	if ptrSize == 8 {
		return binary.NativeEndian.Uint64(b)
	}
	return uint64(binary.NativeEndian.Uint32(b))
}
