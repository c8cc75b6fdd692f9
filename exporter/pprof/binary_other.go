//go:build !linux

package pprof

import "github.com/google/pprof/profile"

// Executables returns the program alone: memory maps are known on Linux only.
func Executables() []*profile.Mapping { return []*profile.Mapping{program()} }
