//go:build !linux

package doctor

import "runtime"

// ReadLimits reads the facts about this process.
func ReadLimits() Limits { return Limits{CPUs: runtime.NumCPU()} }
