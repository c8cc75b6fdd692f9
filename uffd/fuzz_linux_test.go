package uffd

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzMsg holds the decoding of whatever read(2) may deliver against the byte offsets of struct
// uffd_msg, for whole and cut-off messages: amd64 and arm64 are little-endian.
func FuzzMsg(f *testing.F) {
	for _, event := range []byte{EventPagefault, EventFork, EventRemap, EventRemove, EventUnmap, 0, 0xff} {
		seed := bytes.Repeat([]byte{event}, MsgSize+int(event)%7)
		f.Add(seed)
		f.Add(append(bytes.Clone(seed[:MsgSize]), seed...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		msgs := make([]Msg, len(data)/MsgSize+1)
		n := copy(msgBytes(msgs), data) / MsgSize
		for i := range msgs[:n] {
			checkMsg(t, &msgs[i], data[i*MsgSize:])
		}
	})
}

func checkMsg(t *testing.T, m *Msg, raw []byte) {
	word := binary.LittleEndian.Uint64
	half := binary.LittleEndian.Uint32
	if m.Event != raw[0] || m.IsPagefault() != (raw[0] == 0x12) {
		t.Errorf("event %#x, want %#x", m.Event, raw[0])
	}
	if m.Flags() != word(raw[8:]) || uint64(m.Address()) != word(raw[16:]) || uint32(m.Thread()) != half(raw[24:]) {
		t.Errorf("page fault %#x %v %d of % x", m.Flags(), m.Address(), m.Thread(), raw[:MsgSize])
	}
	if uint32(m.ForkFD()) != half(raw[8:]) {
		t.Errorf("fork %d of % x", m.ForkFD(), raw[:MsgSize])
	}
	from, to := m.Remap()
	if uint64(from.Start) != word(raw[8:]) || uint64(to) != word(raw[16:]) || uint64(from.End-from.Start) != word(raw[24:]) {
		t.Errorf("remap %v %v of % x", from, to, raw[:MsgSize])
	}
	if removed := m.Removed(); uint64(removed.Start) != word(raw[8:]) || uint64(removed.End) != word(raw[16:]) {
		t.Errorf("removed %v of % x", removed, raw[:MsgSize])
	}
	if text := m.String(); text == "" || len(text) > 120 {
		t.Errorf("described as %q", text)
	}
}
