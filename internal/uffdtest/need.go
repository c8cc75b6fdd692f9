// Package uffdtest is for tests that need userfaultfd(2).
package uffdtest

import (
	"errors"
	"testing"

	"github.com/firsttouch/firsttouch/uffd"
)

// Need skips where the kernel says no, with its words.
func Need(tb testing.TB) {
	tb.Helper()
	fd, err := uffd.Open()
	if errors.Is(err, uffd.ErrNotSupported) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	fd.Close()
}
