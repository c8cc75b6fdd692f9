//go:build !linux || !(amd64 || arm64)

package bench

import (
	"fmt"
	"io"

	"github.com/firsttouch/firsttouch/profiler"
)

// Child has nothing to serve here.
func Child() {}

// Report has nothing to measure here.
func Report(io.Writer, int, int, string) error {
	return fmt.Errorf("benchmarks need Linux on amd64 or arm64: %w", profiler.ErrNotSupported)
}

// Cold has nothing to measure here.
func Cold(io.Writer, int, int) error { return profiler.ErrNotSupported }

// Comparison is what Compare would measure.
type Comparison struct{}

// Compare has nothing to measure here.
func Compare(io.Writer, bool, int) (*Comparison, error) { return nil, profiler.ErrNotSupported }

// Rates has nothing to measure here.
func Rates(io.Writer) error { return profiler.ErrNotSupported }

// Scale has nothing to measure here.
func Scale(io.Writer, int, int) error { return profiler.ErrNotSupported }
