//go:build linux && (amd64 || arm64)

package engine

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// How long other threads may be stopped, and how long one operation tries. While a thread is in the way that cannot be
// stopped at all nobody is stopped for it.
const (
	stopLimit = 20 * time.Millisecond
	// stopMore is what each further mapping of the region adds to it.
	stopMore = 500 * time.Microsecond
	// stopSlices is which part of it is for the work, where there is much: the others are for the wait until all have stopped.
	stopSlices = 5
	// stopTries is which part of it a try may take while a better moment may be waited for.
	stopTries = 4
	// stopLeast is less than which is not worth a try.
	stopLeast = time.Millisecond
	// operationLimit bounds how long an operation waits, with all threads running, for a thread that is in the way.
	operationLimit = 2 * time.Second
	// waitsLimit is for how long of it, at the beginning, nobody is stopped while a thread waits for a processor.
	waitsLimit = 500 * time.Millisecond
	// restShare is for how long nobody is stopped after threads were stopped in vain, as a multiple of that, and restMost the
	// longest: on a machine that is merely busy the next moment may be a better one.
	restShare = 50
	restMost  = time.Second
)

// Busy says why the other threads could not be stopped. It is an ErrBusy.
type Busy struct {
	Thread int        // that is in the way, 0 where it is none
	Name   string     // of the thread
	Signal int        // that it blocks, 0 where it does not
	Reason string     // in words
	Errno  unix.Errno // of the call that failed, or 0
	// Again is for how long no thread is stopped again.
	Again time.Duration
}

func (b *Busy) Error() string {
	var s strings.Builder
	if b.Thread != 0 {
		fmt.Fprintf(&s, "thread %d (%s) ", b.Thread, b.Name)
	}
	s.WriteString(b.Reason)
	if b.Again > 0 {
		s.WriteString("; tried again after a pause") // not how long: as a note it would be another one each time
	}
	return s.String()
}

// Is reports that it is an ErrBusy, and the errno of a call that failed.
func (b *Busy) Is(target error) bool {
	return target == ErrBusy || b.Errno != 0 && target == error(b.Errno)
}

// resting is from when on threads may be stopped again, after they were in vain, and why they were. It is guarded by op.
type resting struct {
	until time.Duration
	why   *Busy
}

// Begin begins an operation on a region with so many mappings: for how long it may stop the other threads in all.
func (e *Engine) Begin(r *Region, mappings int) {
	r.stops.Store(int64(e.stopLimit + time.Duration(max(mappings-1, 0))*stopMore))
}

// trial is what one command may take. Its methods are called while op is held.
type trial struct {
	e     *Engine
	r     *Region
	end   time.Duration // when waiting is over
	pause time.Duration
	lost  time.Duration // for which threads were stopped in vain

	wanted bool
}

func (e *Engine) trial(g *Target) *trial {
	return &trial{e: e, r: g.of, end: Now() + operationLimit, pause: time.Millisecond}
}

// allowed reports why nobody may be stopped now, or nil.
func (p *trial) allowed() error {
	p.e.LookSignal()
	if err := p.e.noSignal(); err != nil {
		return err
	}
	if left := p.e.resting.until - Now(); left > 0 {
		b := *p.e.resting.why
		b.Again = left
		return &b
	}
	return nil
}

// limit is for how long the next try may stop somebody: all threads, or those alone that touch the target.
func (p *trial) limit(all bool) time.Duration {
	if !all {
		return freezeLimit
	}
	left := time.Duration(p.r.stops.Load())
	if p.patient() { // some short ones, each at a moment at which it looked as if all could stop at once
		left = min(left, p.e.stopLimit/stopTries)
	}
	return max(left, stopLeast)
}

// patient reports whether a better moment to stop the threads may be waited for.
func (p *trial) patient() bool { return Now() < p.patience() }

// patience is until when.
func (p *trial) patience() time.Duration { return p.end - operationLimit + waitsLimit }

// over accounts for a command that was done: what it waited for others, since what it did has a bound of its own.
func (p *trial) over(c *command) {
	if c.park != 0 {
		p.r.stops.Add(-max(c.took-c.worked, 0))
	}
}

// busy waits until a command that could not be done may be tried again, or says why it may not.
func (p *trial) busy(c *command, try int) error {
	if c.status == statusSignal {
		if err := p.allowed(); err != nil || try < len(signalBefore) {
			return err
		}
		return &Busy{Reason: "the signal that stops threads is taken away again and again"}
	}
	if c.park == 0 {
		if try == freezeTries {
			return &Busy{Reason: reasonFaults}
		}
		time.Sleep(time.Duration(try+1) * time.Millisecond)
		return nil
	}
	p.r.stops.Add(-c.took)
	p.lost += time.Duration(c.took)
	b := &Busy{Thread: int(c.culprit), Name: unix.ByteSliceToString(c.name[:])}
	wait := p.pause
	switch c.why {
	case whyDeaf:
		if !p.wanted {
			p.wanted = true
			want(p.e.Signal()) // the thread may be Go's own, see choose_linux.go
			return nil
		}
		b.Signal = p.e.Signal()
		b.Reason = fmt.Sprintf("blocks signal %d, so it cannot be stopped while mappings change: have it unblock the signal (pthread_sigmask), or let the mappings' owner give a guard (WithGuard)", b.Signal)
		return b // the next try sees it before anybody is stopped
	case whyBegins:
		wait = deafAfter + time.Millisecond
		b.Reason = "has all signals blocked, as threads do while they start"
	case whyAway:
		b.Reason = fmt.Sprintf("waits in system call %d, which may change mappings", c.inCall-1)
	case whyWaits:
		return nil // until patience was over: this time it is not asked
	case whyMany:
		return p.rest(&Busy{Reason: "the process has too many threads"})
	case whyUnsent:
		b.Errno = unix.Errno(c.errno)
		b.Reason = "could not be asked to stop: " + unsent(b.Errno).Error()
	case whyFaults:
		b.Reason = reasonFaults
	default:
		b.Reason = fmt.Sprintf("did not run within %v in which all others were stopped: the processors are busy", p.lost.Round(time.Millisecond))
	}
	if Now()+wait > p.end || time.Duration(p.r.stops.Load()) < stopLeast {
		return p.rest(b)
	}
	time.Sleep(wait)
	p.pause = min(2*p.pause, 50*time.Millisecond)
	return nil
}

const reasonFaults = "faults of the region wait for storage"

// rest has nobody stopped for as long as what was in vain is one in restShare of, or for restMost.
func (p *trial) rest(b *Busy) error {
	if b.Again = min(p.lost*restShare, restMost); b.Again > 0 {
		p.e.resting = resting{Now() + b.Again, b}
	}
	return b
}
