package exporter

import (
	"path"
	"runtime"
	"slices"
	"strings"
)

// Caller returns the index of the frame that a fault is named after in every output: the innermost
// one, leaf first, of code that does not move, compare or read memory only on behalf of its caller, as
// the runtime does in copy, strings in a comparison, and syscall in a read. A stack of nothing else is
// named after its leaf; -1 is a stack without frames.
func Caller(frames []runtime.Frame) int {
	if len(frames) == 0 {
		return -1
	}
	return max(0, slices.IndexFunc(frames, func(f runtime.Frame) bool { return !ServesCaller(f) }))
}

// ServesCaller reports whether a frame touches memory, or runs code, only for the one that calls it.
func ServesCaller(f runtime.Frame) bool {
	switch pkg := Package(f.Function); pkg {
	case "", "runtime", "sync", "bytes", "strings", "slices", "sort", "encoding/binary", "unique",
		"internal/bytealg", "internal/abi", "internal/poll", "syscall", "golang.org/x/sys/unix":
		return true
	case f.Function:
		// The bodies of the runtime's assembly, such as cmpbody, have no package in their name.
		switch path.Base(path.Dir(f.File)) {
		case "runtime", "bytealg":
			return true
		}
		return false
	default:
		return strings.HasPrefix(pkg, "internal/runtime/") || strings.HasPrefix(pkg, "runtime/")
	}
}

// Package is the import path in a function's name, such as "go.etcd.io/bbolt" in
// "go.etcd.io/bbolt.(*Cursor).seek". The linker writes dots after the last slash as %2e. A name without
// a package is returned as it is.
func Package(function string) string {
	slash := strings.LastIndexByte(function, '/') + 1
	// A type argument may hold slashes too: "slices.SortFunc[go.shape.struct{a/b.c}]".
	if bracket := strings.IndexByte(function, '['); bracket >= 0 && bracket < slash {
		slash = strings.LastIndexByte(function[:bracket], '/') + 1
	}
	if dot := strings.IndexByte(function[slash:], '.'); dot >= 0 {
		return function[:slash+dot]
	}
	return function
}
