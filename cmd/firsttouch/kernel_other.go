//go:build !linux

package main

// kernel has nothing to add to the operating system: the profiler needs Linux.
func kernel() string { return "no Linux: recordings can be read, and nothing can be profiled" }
