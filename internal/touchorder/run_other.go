//go:build !linux

package touchorder

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"
	"sync/atomic"
)

func (o *Order) run(context.Context, Options, *atomic.Int64) (Result, error) {
	return Result{}, fmt.Errorf("%w: reading ahead on %s", ErrNotSupported, runtime.GOOS)
}

func inodeOf(fs.FileInfo) uint64 { return 0 }
