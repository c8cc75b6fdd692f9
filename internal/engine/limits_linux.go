//go:build linux && (amd64 || arm64)

package engine

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// mapsMargin is how many mappings are left to the rest of the process.
const mapsMargin = 4096

// limits reads vm.max_map_count and counts the process's mappings.
func (e *Engine) limits() error {
	b, err := os.ReadFile("/proc/sys/vm/max_map_count")
	if err != nil {
		return fmt.Errorf("read vm.max_map_count: %w", err)
	}
	most, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 64)
	if err != nil {
		return fmt.Errorf("read vm.max_map_count: %w", err)
	}
	e.s.maxMaps = most - min(mapsMargin, most/4)
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("count mappings: %w", err)
	}
	e.SetMaps(uint64(bytes.Count(maps, []byte{'\n'})))
	return nil
}

// SetMaps corrects the estimate of how many mappings the process has.
func (e *Engine) SetMaps(n uint64) { raw.Store64(&e.s.maps, n) }

// MaxMaps is the number of mappings from which granules are widened.
func (e *Engine) MaxMaps() uint64 { return e.s.maxMaps }
