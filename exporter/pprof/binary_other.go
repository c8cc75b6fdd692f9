//go:build !linux

package pprof

import "github.com/google/pprof/profile"

// executables returns the program alone: memory maps are known on Linux only.
func executables() []*profile.Mapping { return []*profile.Mapping{program()} }
