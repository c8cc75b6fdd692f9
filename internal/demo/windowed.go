package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/internal/demo/load"
)

// What is shown with Options.Windows: windows of a length, during which the clients ask for one half of the
// requests, for the other, and for the first again. It takes longer than 30 s, so that something is idle.
const (
	windowLength  = time.Second
	stageLength   = 14 * time.Second
	answerCache   = 4 << 20
	windowsListed = 48
)

// driveWindows sends the halves of the requests, in slices so short that a stage ends in time.
func (d *demo) driveWindows(ctx context.Context, address string) error {
	half := max(len(d.paths)/2, 1)
	stages := [][]string{d.paths[:half], d.paths[len(d.paths)-half:], d.paths[:half]}
	total := time.Duration(len(stages)) * stageLength
	began := time.Now()
	for i, paths := range stages {
		end := began.Add(time.Duration(i+1) * stageLength)
		slice := max(len(paths)/8, 1)
		for at := 0; time.Now().Before(end); at += slice {
			if d.Progress != nil {
				d.Progress("requests by window, with the profiler", int64(time.Since(began)/time.Second), int64(total/time.Second))
			}
			part := paths[at%len(paths):]
			part = part[:min(len(part), slice)]
			got, err := load.Drive(ctx, "http://"+address, part, d.Concurrency, func(int) {})
			if err != nil {
				return err
			}
			if got.Failures > 0 {
				return fmt.Errorf("%d requests failed, the first one: %s", got.Failures, got.First)
			}
		}
	}
	return nil
}
