package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/profiler"
)

// Shutdown ends the profiler and the debug endpoint: every region becomes plain memory again, with
// its contents, and stays usable. That comes first; then requests to the endpoint may take until their client has read the answer, or has read
// nothing for a second. Shut the service's TracerProvider down first, so that the last
// spans are complete. ctx bounds the wait, to a tenth of a second, also when it has ended already: then what can be done at once
// is. After an error, what could not be given back is still
// served, so nothing hangs, and Shutdown may be called again. Further calls do nothing.
func (a *Agent) Shutdown(ctx context.Context) error {
	a.quit()
	for {
		e, own := a.startEnding()
		// What goes on beyond the wait of who began it does what it can at once.
		stop := func() bool { return true }
		if own {
			stop = context.AfterFunc(ctx, e.hurry)
		}
		err := e.wait(ctx)
		stop()
		if err == nil {
			return nil
		}
		if own || ctx.Err() != nil {
			return fmt.Errorf("firsttouch agent: shutdown: %w", err)
		}
	}
}

// ending is one try to end the agent. It goes on when who began it does not wait any more.
type ending struct {
	ctx   context.Context
	hurry context.CancelFunc
	done  chan struct{}
	err   error // once done
}

// hurryMost is how long what was told to hurry is waited for.
const hurryMost = 100 * time.Millisecond

func (e *ending) wait(ctx context.Context) error {
	select {
	case <-e.done:
		return e.err
	case <-ctx.Done():
	}
	select {
	case <-e.done:
		if e.err == nil {
			return nil
		}
		return fmt.Errorf("%w: %w", ctx.Err(), e.err)
	case <-time.After(hurryMost):
		return fmt.Errorf("%w: it goes on meanwhile", ctx.Err())
	}
}

// startEnding begins to end the agent, unless that goes on or is done already.
func (a *Agent) startEnding() (e *ending, own bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ending != nil {
		return a.ending, false
	}
	e = &ending{done: make(chan struct{})}
	e.ctx, e.hurry = context.WithCancel(context.Background())
	a.ending = e
	go func() { // joined by who waits for it
		e.err = a.end(e.ctx)
		e.hurry()
		a.mu.Lock()
		if e.err != nil {
			a.ending = nil // the next call tries again
		}
		a.mu.Unlock()
		close(e.done)
	}()
	return e, true
}

// end gives back what was profiled, and then ends what serves and writes it. Only one call goes on at a time.
func (a *Agent) end(ctx context.Context) error {
	// Whoever is about to take the profiler off has counted itself in leaving before it lets go of the lock; from here on it is left to this
	// call.
	a.mu.Lock()
	//lint:ignore SA2001 the lock is waited for, and nothing is done under it
	a.mu.Unlock()
	a.leaving.Wait()
	a.joinArming()
	if a.files != nil && a.cfg.recordEnd && !a.files.over() {
		a.last = a.recorded(recording.ScopeAll, "the agent was shut down")
	}
	if w := a.windows.Load(); w != nil {
		w.Close()
	}
	if a.ahead != nil {
		// It was told by stop. Storage that does not answer is not waited for.
		select {
		case <-a.ahead.done:
		case <-time.After(aheadMost):
		}
	}
	if a.journal != nil {
		a.journal.join()
	}
	var errs []error
	if a.prof != nil {
		errs = append(errs, a.unmeter(), closeProfiler(ctx, a.prof))
	}
	if a.debug != nil {
		errs = append(errs, a.debug.Shutdown(ctx))
	}
	if a.files != nil {
		errs = append(errs, a.files.end(a.last))
		a.last = nil
	}
	return errors.Join(errs...)
}

// aheadMost is how long reading ahead may take to end.
const aheadMost = time.Second

// closePause is at least between two tries to stop the other threads for the end of the profiler.
const closePause = 100 * time.Millisecond

// closeProfiler tries until the mappings could be given back or ctx ends.
func closeProfiler(ctx context.Context, p *profiler.Profiler) error {
	for {
		err := p.Close()
		if !errors.Is(err, profiler.ErrBusy) {
			return err
		}
		pause := closePause
		if busy := (*profiler.BusyError)(nil); errors.As(err, &busy) {
			pause = max(pause, busy.RetryAfter)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}
