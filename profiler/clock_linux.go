//go:build linux && (amd64 || arm64)

package profiler

import (
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
)

// Monotonic reads the clock of Fault.Time, CLOCK_MONOTONIC.
func Monotonic() time.Duration { return engine.Now() }
