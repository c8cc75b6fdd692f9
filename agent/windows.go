package agent

import (
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// windows ends a window of the agent's regions every so long.
type windows struct {
	*profiler.Windows
	every time.Duration
	ended func([]profiler.RegionWindow) // nil is nothing

	mu   sync.Mutex // guards what follows
	last []profiler.RegionWindow

	halting    sync.Once
	stop, done chan struct{}
}

func startWindows(p *profiler.Profiler, every time.Duration, ended func([]profiler.RegionWindow)) *windows {
	w := &windows{Windows: p.NewWindows(), every: every, ended: ended, stop: make(chan struct{}), done: make(chan struct{})}
	go w.work() // joined by join
	return w
}

func (w *windows) work() {
	defer close(w.done)
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		w.next()
	}
}

// next ends the window. A region that cannot be armed says so in its next window.
func (w *windows) next() {
	list, _ := w.Next()
	w.mu.Lock()
	w.last = list
	w.mu.Unlock()
	if w.ended != nil {
		w.ended(list)
	}
}

// latest are the windows that ended last.
func (w *windows) latest() []profiler.RegionWindow {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// halt ends no window any more. What the windows showed stays.
func (w *windows) halt() {
	w.halting.Do(func() { close(w.stop) })
	<-w.done
}

func (w *windows) join() {
	w.halt()
	w.Close()
}

// latestWindows are those that ended last, nil where there are none.
func (a *Agent) latestWindows() []profiler.RegionWindow {
	if w := a.windows.Load(); w != nil {
		return w.latest()
	}
	return nil
}

// WorkingSets is what the windows of WithWindows showed so far, of each region of the agent; nil where there
// are none, and after Shutdown. It costs what Windows.WorkingSets of package profiler does.
func (a *Agent) WorkingSets() []profiler.WorkingSet {
	if w := a.windows.Load(); w != nil {
		return w.WorkingSets()
	}
	return nil
}
