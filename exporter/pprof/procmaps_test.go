package pprof

import (
	"testing"

	"github.com/firsttouch/firsttouch/internal/procmaps"
	"github.com/google/pprof/profile"
)

func TestExecutableOf(t *testing.T) {
	for _, c := range []struct {
		name, line           string
		start, limit, offset uint64
		file                 string // "" for none
	}{
		{"program", "00400000-0052b000 r-xp 00001000 fe:01 1234567                            /usr/bin/program\n", 0x400000, 0x52b000, 0x1000, "/usr/bin/program"},
		{"spaces in the name", "7f00-8f00 r-xp 00000000 fe:01 1      /srv/my files/a  b (deleted)\n", 0x7f00, 0x8f00, 0, "/srv/my files/a  b (deleted)"},
		{"vdso", "7ffc0000-7ffc1000 r-xp 00000000 00:00 0          [vdso]\n", 0x7ffc0000, 0x7ffc1000, 0, "[vdso]"},
		{"data", "00400000-0052b000 rw-p 00001000 fe:01 1234567    /usr/bin/program\n", 0, 0, 0, ""},
		{"anonymous", "00400000-0052b000 r-xp 00000000 00:00 0 \n", 0, 0, 0, ""},
		{"cut", "00400000-0052b000 r-xp", 0, 0, 0, ""},
		{"no hexadecimal", "hello-world r-xp 00000000 00:00 0 /x\n", 0, 0, 0, ""},
		{"empty", "", 0, 0, 0, ""},
	} {
		var m *profile.Mapping
		for l, name := range procmaps.Lines([]byte(c.line)) {
			m = executableOf(l, name)
		}
		if m == nil {
			if c.file != "" {
				t.Errorf("%s: nothing", c.name)
			}
			continue
		}
		if m.File != c.file || m.Start != c.start || m.Limit != c.limit || m.Offset != c.offset {
			t.Errorf("%s: %+v", c.name, m)
		}
	}
}
