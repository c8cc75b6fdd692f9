package pprof

import (
	"strconv"
	"strings"

	"github.com/google/pprof/profile"
)

// parseMapping reads a line of /proc/self/maps (proc(5)); nil unless it is an executable mapping
// with a name. The name may hold spaces.
//
//	00400000-0052b000 r-xp 00000000 fe:01 1234567    /usr/bin/program
func parseMapping(line string) *profile.Mapping {
	addresses, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	fields := strings.SplitN(rest, " ", 5) // permissions, offset, device, inode, padded name
	if len(fields) < 5 || len(fields[0]) < 3 || fields[0][2] != 'x' {
		return nil
	}
	name := strings.TrimLeft(fields[4], " ")
	lo, hi, _ := strings.Cut(addresses, "-")
	start, err1 := strconv.ParseUint(lo, 16, 64)
	limit, err2 := strconv.ParseUint(hi, 16, 64)
	offset, err3 := strconv.ParseUint(fields[1], 16, 64)
	if name == "" || err1 != nil || err2 != nil || err3 != nil {
		return nil
	}
	return named(&profile.Mapping{Start: start, Limit: limit, Offset: offset, File: name})
}
