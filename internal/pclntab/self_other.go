//go:build !linux

package pclntab

import (
	"fmt"
	"runtime"

	"github.com/firsttouch/firsttouch/uffd"
)

func loadSelf() (*Table, error) {
	return nil, fmt.Errorf("function table on %s: %w", runtime.GOOS, uffd.ErrNotSupported)
}
