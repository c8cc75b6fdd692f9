//go:build linux && (amd64 || arm64)

package engine

import (
	"runtime"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// What a handler waits for is no processor time, and neither is what the program would have paid itself.
func TestHandlersAreMeasuredByProcessorTime(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const rounds, wait, work = 4 * handlerSample, time.Millisecond, 300 * time.Microsecond
	busy := func(d time.Duration) {
		for end := processorTime() + int64(d); processorTime() < end; {
		}
	}
	var s shared
	began := processorTime()
	for range rounds {
		handling := s.beginHandling()
		time.Sleep(wait)
		busy(work)
		paused := pauseClock(handling)
		busy(10 * work)
		s.endHandling(resumeClock(handling, paused))
	}
	got := time.Duration(raw.Load64(&s.handlerNS))
	own := time.Duration(processorTime()-began) - 10*rounds*work // beside the program's: in an emulator calls take long
	if got < rounds*work || got > 2*own+rounds*work {
		t.Errorf("%v for %d handlers that work for %v, wait for %v, and let the program work for %v", got, rounds, work, wait, 10*work)
	}
}
