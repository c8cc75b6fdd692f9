package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/firsttouch/firsttouch/internal/demo/index"
	"github.com/firsttouch/firsttouch/internal/demo/load"
	"github.com/firsttouch/firsttouch/profiler"
)

// allowed finds out at once, not after the work, what the service would be refused: it starts a profiler as the service's agent does.
func allowed() error {
	p, err := profiler.New(profiler.WithDelivery(profiler.DeliveryAuto), profiler.WithFailingSystemCalls())
	if errors.Is(err, profiler.ErrNotSupported) {
		return refusedError(err.Error())
	}
	if err != nil {
		return err
	}
	return p.Close()
}

// prepareIndex builds the database where there is none, and draws the requests.
func (d *demo) prepareIndex(ctx context.Context) (sum Index, err error) {
	source, err := d.sourceDir()
	if err != nil {
		return sum, err
	}
	tree, err := index.ListTree(source)
	if err != nil {
		return sum, fmt.Errorf("%w: name a directory of Go files with -source", err)
	}
	dir, err := d.cacheDir()
	if err != nil {
		return sum, err
	}
	d.steps.next("the index of Go's source", "about 20 s the first time")
	start := time.Now()
	d.database, sum.Built, err = index.Ensure(ctx, tree, dir, d.Progress)
	if err != nil {
		return sum, err
	}
	sum.Path = d.database
	if sum.Built {
		sum.Took = time.Since(start)
	}
	info, err := os.Stat(d.database)
	if err != nil {
		return sum, err
	}
	sum.Bytes = info.Size()
	ix, err := index.Open(d.database)
	if err != nil {
		return sum, err
	}
	sum.Meta = ix.Meta()
	names, err := ix.Ranking()
	// Closed before the page cache is dropped: pages that are mapped stay.
	if err := errors.Join(err, ix.Close()); err != nil {
		return sum, err
	}
	d.names = names
	d.paths, err = load.Plan(names, d.Seed, d.Requests)
	return sum, err
}
