//go:build !linux

// Package slowfs gives tests storage that takes its time. It needs Linux.
package slowfs
