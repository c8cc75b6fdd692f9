package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// Shutdown ends the debug endpoint and the profiler: every region becomes plain memory again, with
// its contents, and stays usable. Shut the service's TracerProvider down first, so that the last
// spans are complete. ctx bounds the wait; after an error, what could not be given back is still
// served, so nothing hangs, and Shutdown may be called again. Further calls do nothing.
func (a *Agent) Shutdown(ctx context.Context) error {
	a.quit()
	a.ending.Lock()
	defer a.ending.Unlock()
	var errs []error
	a.mu.Lock() // who takes the profiler off from here on leaves it to this
	a.mu.Unlock()
	a.leaving.Wait()
	a.joinArming()
	if w := a.windows.Load(); w != nil {
		w.Close()
	}
	if a.journal != nil {
		a.journal.join()
	}
	if a.debug != nil {
		errs = append(errs, a.debug.close(ctx))
	}
	if a.files != nil {
		errs = append(errs, a.files.end(a.cfg.recordEnd))
	}
	if a.prof != nil {
		errs = append(errs, a.unmeter(), closeProfiler(ctx, a.prof))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("firsttouch agent: shutdown: %w", err)
	}
	return nil
}

// closePause is between two tries to stop the other threads for the end of the profiler.
const closePause = 10 * time.Millisecond

// closeProfiler tries until the mappings could be given back or ctx ends.
func closeProfiler(ctx context.Context, p *profiler.Profiler) error {
	for {
		err := p.Close()
		if !errors.Is(err, profiler.ErrBusy) {
			return err
		}
		select {
		case <-time.After(closePause):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}
