package main

import (
	"path/filepath"
	"strings"
)

// invocation is how a user runs this command again: go run builds it in a directory that is gone afterwards.
func invocation(exe, arg0 string) string {
	for _, part := range strings.Split(filepath.ToSlash(exe), "/") {
		if strings.HasPrefix(part, "go-build") {
			return "go run ./cmd/firsttouch"
		}
	}
	if strings.ContainsRune(arg0, filepath.Separator) {
		return arg0
	}
	return "firsttouch"
}
