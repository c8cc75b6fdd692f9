package pprof

import (
	"github.com/firsttouch/firsttouch/internal/procmaps"
	"github.com/google/pprof/profile"
)

// executableOf is the mapping of a line of /proc/self/maps; nil unless it is an executable one with a name.
func executableOf(l procmaps.Line, name []byte) *profile.Mapping {
	if l.Prot&procmaps.Exec == 0 || len(name) == 0 {
		return nil
	}
	return named(&profile.Mapping{Start: uint64(l.Lo), Limit: uint64(l.Hi), Offset: l.Offset, File: string(name)})
}
