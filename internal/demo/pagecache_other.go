//go:build !linux

package demo

import (
	"os"
	"runtime"
)

// dropPageCache says that it cannot.
func dropPageCache(path string) (PageCache, error) {
	info, err := os.Stat(path)
	if err != nil {
		return PageCache{}, err
	}
	return PageCache{Bytes: info.Size(), Refusal: "there is no way to drop a file from the page cache on " + runtime.GOOS}, nil
}
