//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"golang.org/x/sys/unix"
)

// Health tells whether the profiler should go on in this process: whether its handlers are in place, its threads run,
// its messages can be read, nothing was refused that gives memory back to who touches it, and no first touch took a
// second because of it. It takes some microseconds.
func (p *Profiler) Health() Health {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	if p.eng == nil { // an observer breaks nothing
		return p.health
	}
	s := p.eng.Stats()
	p.health.Stopped = s.Stopped
	if p.health.Broken != nil {
		return p.health
	}
	var broken error
	p.lookSignal()
	muted, _ := p.eng.Muted()
	front, owner := p.eng.BusReplaced()
	switch gone, taken := p.eng.Gone(), p.eng.SignalTaken(); {
	case muted != 0:
		broken = fmt.Errorf("%s is refused since the profiler started: nobody who waits for a page could be woken: %w", p.eng.MutedBy(), muted)
	case s.Failed != 0:
		broken = fmt.Errorf("the kernel's messages cannot be read any more: %w", unix.Errno(s.Failed))
	case gone != "":
		broken = fmt.Errorf("the engine's %s has ended, as after a seccomp filter that kills threads", gone)
	case s.Refused != 0:
		var calls []string
		for _, b := range p.eng.Barred() {
			calls = append(calls, b.Call)
		}
		if len(calls) == 0 {
			calls = []string{"what gives a page back to who touches it"}
		}
		broken = fmt.Errorf("a restore was refused: %s: %w", strings.Join(calls, ", "), unix.Errno(s.LastErr))
	case taken != "":
		broken = errors.New(taken)
	case front != "":
		broken = fmt.Errorf("the handler of %s was taken by %s", front, owner)
	case s.Slowest != 0:
		broken = fmt.Errorf("a first touch took %v because of the profiler, without what storage took", s.Slowest.Round(time.Millisecond))
	case s.Stood != 0:
		broken = errors.New("a thread of the engine stood still for 2 s or more, and not because of storage, while threads of the program waited")
	}
	p.health.Broken = broken
	return p.health
}

// SetOff has snapshots say why the profiler was taken off: the first reason stays.
func (p *Profiler) SetOff(reason string) {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	if p.agg.stats.Off == "" {
		p.agg.stats.Off = reason
		p.agg.event(engine.Now(), EventNote, "", "taken off: "+reason, 1)
	}
}
