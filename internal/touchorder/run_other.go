//go:build !linux

package touchorder

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
)

func (o *Order) run(context.Context, Options, *atomic.Int64) (Result, error) {
	return Result{}, fmt.Errorf("%w: reading ahead on %s", ErrNotSupported, runtime.GOOS)
}

func (o *Order) identify() map[string]error {
	failed := make(map[string]error, len(o.Files))
	for _, f := range o.Files {
		failed[f.Path] = fmt.Errorf("%w: looking at files on %s", ErrNotSupported, runtime.GOOS)
	}
	return failed
}
