package pclntab

import "sync"

var self = sync.OnceValues(loadSelf)

// Self returns the running program's table. It is loaded by the first call, which takes
// milliseconds, and stays mapped for the life of the process; later calls return the same answer.
// Safe for concurrent use.
//
// The error wraps ErrLayout where the table does not match what the runtime says about the same
// functions, uffd.ErrNotSupported on systems other than Linux, and otherwise tells why the
// executable could not be read. Callers then leave the stacks of frameless functions as the
// frame pointers give them.
func Self() (*Table, error) { return self() }
