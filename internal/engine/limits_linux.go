//go:build linux && (amd64 || arm64)

package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// mapsMargin is how many mappings are left to the rest of the process.
const mapsMargin = 4096

// usualMaps is vm.max_map_count where nobody has changed it (DEFAULT_MAX_MAP_COUNT, include/linux/mm.h).
const usualMaps = 65530

// limits reads vm.max_map_count and counts the process's mappings.
func (e *Engine) limits() error {
	most, err := maxMapCount()
	if err != nil {
		return fmt.Errorf("read vm.max_map_count: %w", err)
	}
	e.s.maxMaps, e.s.mostMaps = most-min(mapsMargin, most/4), most
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("count mappings: %w", err)
	}
	raw.Store64(&e.s.maps, uint64(bytes.Count(maps, []byte{'\n'})))
	return nil
}

// maxMapCount reads vm.max_map_count. A /proc without system settings (subset=pid, proc(5); ProcSubset=pid of systemd)
// has none.
func maxMapCount() (uint64, error) {
	b, err := os.ReadFile("/proc/sys/vm/max_map_count")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return usualMaps, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 64)
}

// correctMaps adds to the estimate of how many mappings the process has what it was wrong by when they
// were counted: before is the estimate of the moment when the count began. What the hot path has added
// since then stays.
func (s *shared) correctMaps(before uint64, counted int) { raw.Add64(&s.maps, uint64(counted)-before) }

// mapsOfTarget is by how many mappings the process has more for each mapping of a file that is covered: the duplicate, and a
// second piece of the placeholder.
const mapsOfTarget = 2

// roomFor refuses to cover one more mapping, when so many are about to be covered, where the process would come too near its
// limit of mappings: what is left is for its own, and for the pieces that placeholders fall into as they are touched.
func (e *Engine) roomFor(coming int) error {
	maps := int64(raw.Load64(&e.s.maps))
	if maps+int64(coming+1)*mapsOfTarget <= int64(e.s.maxMaps) {
		return nil
	}
	return fmt.Errorf("%w: each takes %d more, and the process would have more than %d, so that fewer than %d were left to its own: raise vm.max_map_count",
		ErrMaps, mapsOfTarget, e.s.maxMaps, mapsMargin)
}

// lastMaps is how many mappings a process may be from its limit for a list of all of them to be made: the list can take another piece of Go's heap,
// and the runtime ends a process that cannot have one.
const lastMaps = 64

// noLists refuses lists of so many mappings.
func (s *shared) noLists(counted int) error {
	if uint64(counted)+lastMaps < s.mostMaps {
		return nil
	}
	return fmt.Errorf("%w: the process has almost as many as the kernel allows (%d), and a list of them takes memory that it may not have: raise vm.max_map_count", ErrMaps, s.mostMaps)
}

// mapsShort reports whether the process comes near its limit of mappings. The estimate may be a few too
// low, even below 0, until it is corrected next. So it does where granules have to be mapped anew, which do not
// merge with their neighbours, see putBack.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) mapsShort() bool {
	return int64(raw.Load64(&s.maps)) > int64(s.maxMaps) || s.barredBy(callRemap) != 0
}
