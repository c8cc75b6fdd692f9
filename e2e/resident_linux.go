package main

import (
	"os"

	"github.com/firsttouch/firsttouch/internal/pagecache"
)

// residentOf is how many bytes of a file the page cache holds, as the kernel tells its owner.
func residentOf(path string) (n int64, err error) {
	list, err := pagecache.File(path)
	for _, there := range list {
		n += int64(there&1) * int64(os.Getpagesize())
	}
	return n, err
}
