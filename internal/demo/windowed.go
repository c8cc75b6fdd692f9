package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/internal/demo/load"
)

// What is shown with Options.Windows: windows of a length, during which the clients ask for one half of the
// requests, and then for the other for so long that what only the first one needs is idle for 30 s, at a pace
// that leaves the machine time. The cache of answers holds one half.
const (
	windowLength   = 2 * time.Second // unless Options.Window says otherwise
	shortestWindow = 100 * time.Millisecond
	stageLength    = 17 * time.Second // unless a test says otherwise
	stageSlices    = 16               // parts of a stage, each an eighth of the requests
	answerCache    = 2 << 20
	windowsListed  = 30
)

// driveWindows sends one half of the requests twice, and the other one four times.
func (d *demo) driveWindows(ctx context.Context, address string) error {
	half := max(len(d.paths)/2, 1)
	stages := [][]string{d.paths[:half], d.paths[len(d.paths)-half:], d.paths[len(d.paths)-half:]}
	tick := time.NewTicker(d.stage / stageSlices)
	defer tick.Stop()
	d.steps.next("parts of the requests, for windows", roughly(time.Duration(len(stages))*d.stage))
	for i, paths := range stages {
		size := max(len(paths)*2/stageSlices, 1)
		for slice := range stageSlices {
			d.steps.at("requests", i*stageSlices+slice, len(stages)*stageSlices)
			at := slice * size % len(paths)
			got, err := load.Drive(ctx, "http://"+address, paths[at:min(at+size, len(paths))], d.Concurrency, func(int) {})
			if err != nil {
				return err
			}
			if got.Failures > 0 {
				return fmt.Errorf("%d requests failed, the first one: %s", got.Failures, got.First)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}
