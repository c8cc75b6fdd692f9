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
	// Longest is how long a mapping may stay unseen that has changed the size of the process, whatever the looks cost.
	Longest = time.Second
	// Unchanged is how long one may stay unseen that has not, where a look costs more than one in restShare of Longest: a file that takes the place of
	// another one of the same size leaves the size of the process as it was.
	Unchanged = 10 * time.Second
)

// Pace is the pace of one that looks. It is not safe for concurrent use.
type Pace struct {
	every  time.Duration
	looked time.Time
	rest   time.Duration
	quiet  time.Duration // rest while the process keeps its size
	size   []byte        // of the process at the last look
}

// New makes the pace of one that looks every so often where looks are cheap.
func New(every time.Duration) *Pace { return &Pace{every: every, rest: every, quiet: every} }

// Wait is how long to wait before Due is asked next.
func (p *Pace) Wait() time.Duration { return max(p.every, p.rest-time.Since(p.looked)) }

// Due reports whether it is time for a look: the rest is over. Where looks are dear, the process's memory has to have another size than at
// the last one, too, or that was a second ago, or where looks are that dear as long ago as the rest should be.
func (p *Pace) Due() bool {
	since := time.Since(p.looked)
	return since >= p.rest && (p.rest <= p.every || since >= p.quiet || !bytes.Equal(size(), p.size))
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
	p.quiet = max(p.rest, Longest, min(restShare*took, Unchanged))
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
