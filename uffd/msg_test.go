package uffd

import (
	"encoding/binary"
	"testing"
)

// in32 is a word whose first four bytes are n, in whatever order the machine has them.
func in32(n uint32) uint64 {
	var b [8]byte
	binary.NativeEndian.PutUint32(b[:], n)
	return binary.NativeEndian.Uint64(b[:])
}

func TestMsgAccessors(t *testing.T) {
	fault := Msg{Event: EventPagefault, Arg: [3]uint64{uint64(PagefaultFlagWrite | PagefaultFlagMinor), 0x7f001234, in32(7)}}
	if !fault.IsPagefault() || fault.Flags() != 5 || fault.Address() != 0x7f001234 || fault.Thread() != 7 {
		t.Errorf("page fault decoded as %v", &fault)
	}
	// The kernel leaves the other half of the word with a descriptor's number undefined.
	msgs := []Msg{{Event: EventFork, Arg: [3]uint64{^uint64(0)}}}
	binary.NativeEndian.PutUint32(msgBytes(msgs)[8:], 42)
	if fork := &msgs[0]; fork.IsPagefault() || fork.ForkFD() != 42 {
		t.Errorf("fork decoded as descriptor %d", fork.ForkFD())
	}
	remap := Msg{Event: EventRemap, Arg: [3]uint64{0x1000, 0x9000, 0x2000}}
	if from, to := remap.Remap(); from != (Range{0x1000, 0x3000}) || to != 0x9000 {
		t.Errorf("remap decoded as %v to %v", from, to)
	}
	remove := Msg{Event: EventRemove, Arg: [3]uint64{0x1000, 0x2000}}
	if remove.Removed() != (Range{0x1000, 0x2000}) {
		t.Errorf("remove decoded as %v", remove.Removed())
	}
}

func TestMsgString(t *testing.T) {
	for want, m := range map[string]Msg{
		"pagefault missing read at 0x1000 by thread 9":              {Event: EventPagefault, Arg: [3]uint64{0, 0x1000, in32(9)}},
		"pagefault write-protected write at 0x1000 by thread 0":     {Event: EventPagefault, Arg: [3]uint64{3, 0x1000, 0}},
		"pagefault minor read at 0x1000 by thread 0":                {Event: EventPagefault, Arg: [3]uint64{4, 0x1000, 0}},
		"pagefault read-write-protected read at 0x1000 by thread 0": {Event: EventPagefault, Arg: [3]uint64{8, 0x1000, 0}},
		"fork: descriptor 5":              {Event: EventFork, Arg: [3]uint64{in32(5)}},
		"remap [0x1000,0x3000) to 0x9000": {Event: EventRemap, Arg: [3]uint64{0x1000, 0x9000, 0x2000}},
		"remove [0x1000,0x2000)":          {Event: EventRemove, Arg: [3]uint64{0x1000, 0x2000}},
		"unmap [0x1000,0x2000)":           {Event: EventUnmap, Arg: [3]uint64{0x1000, 0x2000}},
		"unknown event 0x99":              {Event: 0x99},
	} {
		if got := m.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestMsgAccessorsDoNotAllocate(t *testing.T) {
	m := Msg{Event: EventPagefault, Arg: [3]uint64{1, 2, 3}}
	var sum uint64
	allocs := testing.AllocsPerRun(100, func() {
		from, to := m.Remap()
		sum += uint64(m.Flags()) + uint64(m.Address()) + uint64(m.Thread()) + uint64(m.ForkFD())
		sum += uint64(from.Len()) + uint64(to) + uint64(m.Removed().Start)
	})
	if allocs != 0 {
		t.Errorf("%v allocations a message (%d)", allocs, sum)
	}
}
