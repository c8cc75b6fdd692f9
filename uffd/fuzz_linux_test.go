package uffd

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzMsg holds the decoding of whatever read(2) may deliver against the byte offsets of struct
// uffd_msg, for whole and cut-off messages.
func FuzzMsg(f *testing.F) {
	for _, event := range []Event{EventPagefault, EventFork, EventRemap, EventRemove, EventUnmap, 0, 0xff} {
		seed := bytes.Repeat([]byte{byte(event)}, msgSize+int(event)%7)
		f.Add(seed)
		f.Add(append(bytes.Clone(seed[:msgSize]), seed...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		msgs := make([]Msg, len(data)/msgSize+1)
		n := copy(msgBytes(msgs), data) / msgSize
		for i := range msgs[:n] {
			checkMsg(t, &msgs[i], data[i*msgSize:])
		}
	})
}

func checkMsg(t *testing.T, m *Msg, raw []byte) {
	word := binary.NativeEndian.Uint64
	half := binary.NativeEndian.Uint32
	if m.Event != Event(raw[0]) || m.IsPagefault() != (raw[0] == 0x12) {
		t.Errorf("event %#x, want %#x", m.Event, raw[0])
	}
	if uint64(m.Flags()) != word(raw[8:]) || uint64(m.Address()) != word(raw[16:]) || uint32(m.Thread()) != half(raw[24:]) {
		t.Errorf("page fault %#x %v %d of % x", uint64(m.Flags()), m.Address(), m.Thread(), raw[:msgSize])
	}
	if uint32(m.ForkFD()) != half(raw[8:]) {
		t.Errorf("fork %d of % x", m.ForkFD(), raw[:msgSize])
	}
	from, to := m.Remap()
	if uint64(from.Start) != word(raw[8:]) || uint64(to) != word(raw[16:]) || uint64(from.End-from.Start) != word(raw[24:]) {
		t.Errorf("remap %v %v of % x", from, to, raw[:msgSize])
	}
	if removed := m.Removed(); uint64(removed.Start) != word(raw[8:]) || uint64(removed.End) != word(raw[16:]) {
		t.Errorf("removed %v of % x", removed, raw[:msgSize])
	}
	if text := m.String(); text == "" || len(text) > 120 {
		t.Errorf("described as %q", text)
	}
}

// FuzzControl gives whatever may stand in a control buffer to the parser of received descriptors: it
// must not fail, and not make up descriptors out of nothing.
func FuzzControl(f *testing.F) {
	f.Add(unix.UnixRights(3))
	f.Add(unix.UnixRights(3, 4, 5))
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, control []byte) {
		if fds := receivedRights(control); len(fds)*4 > len(control) {
			t.Errorf("%d descriptors out of %d bytes", len(fds), len(control))
		}
	})
}

// FuzzOpenPathText holds that a path is read from no other text than its own.
func FuzzOpenPathText(f *testing.F) {
	for _, path := range []OpenPath{PathDevice, PathSyscall, PathUserModeOnly, PathAdopted} {
		f.Add([]byte(path.String()))
	}
	f.Add([]byte("DEVICE"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var p OpenPath
		if err := p.UnmarshalText(text); err == nil && p.String() != string(text) {
			t.Errorf("%q became %v", text, p)
		}
	})
}

// FuzzPagemapEntry holds the bits of an entry, pagemap.rst.
func FuzzPagemapEntry(f *testing.F) {
	for _, entry := range []uint64{0, 1 << 57, 1 << 61, 1 << 62, 1 << 63, ^uint64(0)} {
		f.Add(entry)
	}
	f.Fuzz(func(t *testing.T, raw uint64) {
		e := PagemapEntry(raw)
		for bit, got := range map[int]bool{57: e.WriteProtected(), 61: e.File(), 62: e.Swapped(), 63: e.Present()} {
			if want := raw&(1<<bit) != 0; got != want {
				t.Errorf("bit %d of %#x: %v", bit, raw, got)
			}
		}
	})
}

// FuzzBitNames holds that each bit of a set is named once, whatever it is.
func FuzzBitNames(f *testing.F) {
	f.Add(uint64(0))
	f.Add(uint64(0x1ffff))
	f.Add(^uint64(0))
	f.Fuzz(func(t *testing.T, set uint64) {
		for name, text := range map[string]string{
			"features": Features(set).String(), "ioctls": IoctlSet(set).String(),
			"modes": RegisterMode(set).String(), "categories": Categories(set).String(),
		} {
			named := strings.Split(text, "|")
			if want := max(1, bits.OnesCount64(set)); len(named) != want {
				t.Errorf("%s %#x: %d names in %q", name, set, len(named), text)
			}
		}
	})
}
