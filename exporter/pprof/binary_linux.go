package pprof

import (
	"debug/elf"
	"encoding/hex"
	"os"
	"reflect"
	"sync"

	"github.com/firsttouch/firsttouch/internal/procmaps"
	"github.com/google/pprof/profile"
)

// Executables returns the executable file mappings of this process, the program's own first. It
// falls back to the program's name alone where /proc is not mounted.
func Executables() []*profile.Mapping {
	own := uint64(reflect.ValueOf(Executables).Pointer())
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return []*profile.Mapping{program()}
	}
	var main *profile.Mapping
	var others []*profile.Mapping
	for l, name := range procmaps.Lines(text) {
		m := executableOf(l, name)
		switch {
		case m == nil:
		case m.Start <= own && own < m.Limit:
			m.BuildID = buildID()
			main = m
		default:
			others = append(others, m)
		}
	}
	if main == nil {
		main = program()
	}
	return append([]*profile.Mapping{main}, others...)
}

// buildID returns the GNU build id of the running program, or "" when it has none. The linker
// stores it as a note: three words of lengths and type, the name "GNU\0", the id
// (Elf64_Nhdr, include/uapi/linux/elf.h).
var buildID = sync.OnceValue(func() string {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return ""
	}
	defer f.Close()
	section := f.Section(".note.gnu.build-id")
	if section == nil {
		return ""
	}
	note, err := section.Data()
	if err != nil || len(note) < 16 || string(note[12:16]) != "GNU\x00" {
		return ""
	}
	size := f.ByteOrder.Uint32(note[4:])
	if uint64(size) > uint64(len(note)-16) {
		return ""
	}
	return hex.EncodeToString(note[16 : 16+size])
})
