// Package pace says when the list of the process's mappings is to be read again. Reading it costs more the more mappings there
// are, so a look is followed by a rest in proportion to the processor time that it took. It is not in proportion to the time that
// passed: on a busy machine a look may wait for a processor for long, and the next one is not to be late because of that.
package pace

import (
	"bytes"
	"os"
	"runtime"
	"time"
)

const (
	// restShare is how long the rest is, as a multiple of the processor time of the look: 2% of a processor at most.
	restShare = 50
	// Longest is how long a mapping may stay unseen, whatever the looks cost and wherever the cheap question is not enough: a file
	// that takes the place of another one of the same size leaves the size of the process as it was.
	Longest = time.Second
)

// Pace is the pace of one that looks. It is not safe for concurrent use.
type Pace struct {
	every  time.Duration
	looked time.Time
	rest   time.Duration
	size   []byte // of the process at the last look
}

// New makes the pace of one that looks every so often where looks are cheap.
func New(every time.Duration) *Pace { return &Pace{every: every, rest: every} }

// Wait is how long to wait before Due is asked next.
func (p *Pace) Wait() time.Duration { return max(p.every, p.rest-time.Since(p.looked)) }

// Due reports whether it is time for a look: the rest is over. Where looks are dear, the process's memory has to have another size than at
// the last one, too, or that was long ago.
func (p *Pace) Due() bool {
	since := time.Since(p.looked)
	return since >= p.rest && (p.rest <= p.every || since >= Longest || !bytes.Equal(size(), p.size))
}

// Look does the look, and settles the rest after it. It returns the rest.
func (p *Pace) Look(look func()) time.Duration {
	p.size = nil // where looks are cheap nobody asks for it
	if p.rest > p.every {
		p.size = size() // before: what is mapped during the look makes another one due
	}
	runtime.LockOSThread()
	before, known := processorTime()
	began := time.Now()
	look()
	took := time.Since(began)
	if after, ok := processorTime(); known && ok {
		took = after - before
	}
	runtime.UnlockOSThread()
	p.looked = time.Now()
	p.rest = min(max(p.every, restShare*took), max(p.every, Longest))
	return p.rest
}

// size is that of the process's address space as the kernel writes it (/proc/self/statm), which costs some microseconds; empty where it
// cannot be read, so that each question leads to a look.
func size() []byte {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return nil
	}
	field, _, _ := bytes.Cut(text, []byte{' '})
	return field
}
