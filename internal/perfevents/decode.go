package perfevents

import (
	"encoding/binary"
	"strings"
)

// Kinds of a record, see perf_event.h.
const (
	recordLost   = 2
	recordSample = 9
	recordMmap2  = 10
)

// headerLen is the length of struct perf_event_header.
const headerLen = 8

// What each event counts.
type kind uint8

const (
	unknown kind = iota
	begin        // of any fault
	major
	minor
)

// rawRecord is what a record of the buffer says.
type rawRecord struct {
	kind    kind
	id      uint64 // of the event, or of the one that it was inherited from
	pid     uint32
	tid     uint32
	time    int64 // CLOCK_MONOTONIC, ns
	address uint64
	ip      uint64
	regs    [3]uint64 // see the architecture's registers
	word    uint64    // at the stack pointer
	stack   []uintptr // innermost first
	lost    uint64
	mapped  *Mapped
}

// context is the first of the values that perf puts into a call chain to say where the next entries are from
// (enum perf_callchain_context).
const context = ^uint64(4095) + 1

// decoder takes a record apart. Its zero value decodes nothing but losses and mappings.
type decoder struct {
	kinds map[uint64]kind // of the events, by id
	regs  int             // how many registers a sample has
}

// decode takes the record b, with its header, apart. It puts the addresses of the call chain behind those of chain, and returns
// them. ok is false for what is of no use.
func (d *decoder) decode(b []byte, chain []uintptr) (r rawRecord, _ []uintptr, ok bool) {
	if len(b) < headerLen {
		return r, chain, false
	}
	switch binary.NativeEndian.Uint32(b) {
	case recordLost:
		c := cursor{b: b[headerLen:]}
		c.u64() // id
		r.lost = c.u64()
		return r, chain, !c.bad
	case recordMmap2:
		m := d.mmap2(b[headerLen:], &r)
		return r, chain, m
	case recordSample:
		c := cursor{b: b[headerLen:]}
		r.id = c.u64()
		if r.kind = d.kinds[r.id]; r.kind == unknown {
			return r, chain, false
		}
		r.ip = c.u64()
		r.pid, r.tid = c.two()
		r.time = int64(c.u64())
		r.address = c.u64()
		if r.kind != begin || d.regs == 0 {
			return r, chain, !c.bad
		}
		n, first := c.u64(), len(chain)
		if n > uint64(len(c.b)/8) {
			return r, chain, false
		}
		for range n {
			if pc := c.u64(); pc < context {
				chain = append(chain, uintptr(pc))
			}
		}
		r.stack = chain[first:len(chain):len(chain)]
		if abi := c.u64(); abi != 0 { // PERF_SAMPLE_REGS_ABI_NONE
			for i := range min(d.regs, len(r.regs)) {
				r.regs[i] = c.u64()
			}
		}
		if size := c.u64(); size >= 8 && size <= uint64(len(c.b)) {
			word := c.u64()
			c.skip(int(size) - 8)
			if c.u64() >= 8 { // how much of it was read
				r.word = word
			}
		}
		return r, chain, !c.bad
	}
	return r, chain, false
}

// sampleID is what is behind a record that is no sample: two ids of the thread, the time, and the event's id.
const sampleID = 3 * 8

func (d *decoder) mmap2(b []byte, r *rawRecord) bool {
	if len(b) < 64+sampleID {
		return false
	}
	tail := cursor{b: b[len(b)-sampleID:]}
	c := cursor{b: b[:len(b)-sampleID]}
	r.pid, r.tid = c.two()
	m := &Mapped{Lo: uintptr(c.u64())}
	m.Hi = m.Lo + uintptr(c.u64())
	m.Offset = int64(c.u64())
	major, minor := c.two()
	m.Dev = uint64(major)<<32 | uint64(minor)
	m.Inode = c.u64()
	c.u64() // generation
	prot, flags := c.two()
	m.Prot, m.Shared = int(prot), flags&mapShared != 0
	m.Path, _, _ = strings.Cut(string(c.b), "\x00")
	tail.two()
	r.time = int64(tail.u64())
	m.Time = r.time
	r.mapped = m
	return !c.bad && !tail.bad && m.Hi > m.Lo
}

// mapShared is MAP_SHARED.
const mapShared = 1

// cursor reads numbers one after the other; bad is set where there are not enough.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) skip(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.b, c.bad = nil, true
		return make([]byte, 8)
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) u64() uint64 { return binary.NativeEndian.Uint64(c.skip(8)) }

func (c *cursor) two() (a, b uint32) {
	s := c.skip(8)
	return binary.NativeEndian.Uint32(s), binary.NativeEndian.Uint32(s[4:])
}
