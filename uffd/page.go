package uffd

import "os"

// PageSize is the kernel's base page size in bytes: the unit of every range, but for huge pages.
func PageSize() int { return os.Getpagesize() }
