package agent

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/profiler"
)

// off is that the profiler was taken off, by its fuse or by hand. The first one stays.
type off struct {
	reason string
	at     time.Time
	given  chan struct{} // closed once all memory was given back

	left string // what could not be given back yet, or empty; guarded by Agent.mu
}

// Memory that cannot be given back is tried again after a pause, twice as long each time. Each try may stop the
// service's threads for a moment.
const (
	offPause     = 10 * time.Millisecond
	offPauseMost = 5 * time.Second
)

// SwitchOff takes the profiler off while the service goes on: every region becomes plain memory with its contents,
// nothing is armed again, and Arena hands out plain memory from then on. What was seen stays readable, spans go on
// without faults, and Reason has the reason, which is one line for a log. It stays so until the process ends: the first
// reason counts, and the fuse uses the same way.
//
// It returns once all memory was given back. When ctx ends before, the error says what is still served, so that nothing
// hangs, and it goes on being tried. On an agent that does nothing it does nothing.
func (a *Agent) SwitchOff(ctx context.Context, reason string) error {
	if a.prof == nil {
		return nil
	}
	o := a.takeOff("by hand: " + oneLine(reason))
	select {
	case <-o.given:
		return nil
	case <-ctx.Done():
		a.mu.Lock()
		defer a.mu.Unlock()
		return fmt.Errorf("firsttouch agent: memory that cannot be given back yet stays served: %w: %s", ctx.Err(), o.left)
	case <-a.stop.Done(): // by Shutdown
		return a.prof.Close()
	}
}

// Off is closed when the profiler is taken off, by its fuse or by SwitchOff; Reason then says why. WithLogger logs that.
func (a *Agent) Off() <-chan struct{} { return a.offCh }

// takeOff begins to take the profiler off, once.
func (a *Agent) takeOff(reason string) *off {
	o := &off{reason: reason, at: time.Now(), given: make(chan struct{})}
	if !a.off.CompareAndSwap(nil, o) {
		return a.off.Load()
	}
	a.prof.SetOff(o.reason)
	close(a.offCh)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stop.Err() == nil { // else Shutdown gives back
		a.leaving.Go(func() { a.giveBack(o) })
	}
	return o
}

// giveBack ends what arms memory, and then has it given back, until that succeeded or the agent is shut down.
func (a *Agent) giveBack(o *off) {
	a.joinArming()
	for pause := offPause; ; pause = min(2*pause, offPauseMost) {
		err := a.prof.Close()
		a.mu.Lock()
		if o.left = ""; err != nil {
			o.left = err.Error()
		}
		a.mu.Unlock()
		if err == nil {
			close(o.given)
			return
		}
		select {
		case <-time.After(pause):
		case <-a.stop.Done():
			return // Shutdown tries itself
		}
	}
}

// joinArming ends what arms memory by itself.
func (a *Agent) joinArming() {
	a.arming.Lock()
	defer a.arming.Unlock()
	if a.armingEnded {
		return
	}
	a.armingEnded = true
	if a.lookout != nil {
		a.lookout.join()
	}
	if w := a.windows.Load(); w != nil {
		w.halt()
	}
}

// observes reports whether memory may be armed.
func (a *Agent) observes() bool { return a.prof != nil && a.off.Load() == nil }

// Reason says why the agent does nothing and what to change, or why the profiler was taken off and whether all memory
// was given back by now, in one line. It is empty where it profiles.
func (a *Agent) Reason() string {
	if a.prof == nil {
		if s := a.Shadow(); s != nil {
			return s.String()
		}
	}
	o := a.off.Load()
	if o == nil {
		return a.reason
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	text := fmt.Sprintf("taken off at %s: %s; ", o.at.Format(time.RFC3339), o.reason)
	select {
	case <-o.given:
		return text + "all memory was given back, and it stays off until the service is started again"
	default:
	}
	if o.left == "" {
		return text + "memory is being given back"
	}
	return text + "some memory cannot be given back yet, stays served, and is tried again: " + o.left
}

// offNotes say why the profiler is off, or what the shadow would do.
func (a *Agent) offNotes() []string {
	switch shadow := a.cfg.shadow && !a.cfg.disabled; {
	case a.off.Load() != nil, shadow && a.prof == nil:
		return []string{a.Reason()}
	case shadow:
		return []string{shadowSees} // Shadow.String has another text each time, and a log would have all of them
	}
	return nil
}

// refused is the error of what cannot be profiled since the agent does nothing, or not any more.
func (a *Agent) refused(what string) error {
	return fmt.Errorf("firsttouch agent: %s is not profiled: %w: %s", what, profiler.ErrNotSupported, a.Reason())
}

// offAnswer is how long a request waits for memory to be given back.
const offAnswer = 5 * time.Second

// serveOff takes the profiler off. The answer is Reason: 200 where all memory was given back, 202 where some is still
// served and tried again.
func (a *Agent) serveOff(w http.ResponseWriter, r *http.Request) {
	if a.prof == nil {
		http.Error(w, "not profiled: "+a.Reason(), http.StatusServiceUnavailable)
		return
	}
	reason := "asked for over HTTP"
	if why := r.URL.Query().Get("reason"); why != "" {
		reason += ": " + why
	}
	ctx, cancel := context.WithTimeout(r.Context(), offAnswer)
	defer cancel()
	err := a.SwitchOff(ctx, reason)
	header(w, "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusAccepted)
	}
	// An error here is the client's: it has left.
	_, _ = fmt.Fprintln(w, a.Reason())
}

// oneLine is a text that others choose, for a log and a terminal: without control characters, and not long.
func oneLine(s string) string {
	if r := []rune(s); len(r) > reasonMost {
		s = string(r[:reasonMost]) + "..."
	}
	return plain.Line(s)
}

// reasonMost is how many characters of a reason are kept.
const reasonMost = 200
