//go:build !linux

package pclntab

import (
	"errors"
	"testing"

	"github.com/firsttouch/firsttouch/uffd"
)

func TestSelfNotSupported(t *testing.T) {
	if tab, err := Self(); tab != nil || !errors.Is(err, uffd.ErrNotSupported) {
		t.Errorf("Self() = %v, %v", tab, err)
	}
}
