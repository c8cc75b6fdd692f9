package agent

import (
	"context"
	"log/slog"
	"sync"
	"time"
	"unicode"
)

// The journal looks for new notes soon after the start, when the first look for files is over, and then from time to time.
const (
	firstEntry = time.Second
	nextEntry  = 10 * time.Second
	offEntry   = 200 * time.Millisecond // after the profiler was taken off: most often all memory was given back by then
)

// journal writes what the agent has to say to the service's own log: each note once.
type journal struct {
	log    *slog.Logger
	status func() (text string, observes bool)
	notes  func() []string
	stop   <-chan struct{}
	off    <-chan struct{} // closed when the profiler is taken off
	looked <-chan struct{} // closed after the first look for files; nil where there is none
	done   chan struct{}

	mu       sync.Mutex
	observes bool            // was said
	said     map[string]bool // by text without its numbers, which go on growing
}

// startJournal says in a line how the agent stands, and at once what of the service can fail because of it, if anything. It goes on
// with its notes until stop is closed.
func startJournal(log *slog.Logger, status func() (string, bool), profiles bool, failing string, notes func() []string, stop, off, looked <-chan struct{}) *journal {
	j := &journal{log: log, status: status, notes: notes, stop: stop, off: off, looked: looked, done: make(chan struct{}), said: make(map[string]bool)}
	level := slog.LevelInfo
	if !profiles {
		level = slog.LevelWarn
	}
	text, observes := status()
	j.observes = observes
	log.Log(context.Background(), level, text)
	if failing != "" {
		j.warn(failing)
	}
	go j.run()
	return j
}

func (j *journal) run() {
	defer close(j.done)
	for pause := firstEntry; ; {
		select {
		case <-j.stop:
			return
		case <-j.off:
			j.off, pause = nil, offEntry
		case <-j.looked:
			j.looked = nil
			j.mu.Lock()
			j.tell()
			j.mu.Unlock()
		case <-time.After(pause):
			j.write()
			pause = nextEntry
		}
	}
}

// write logs the notes that are new, and what is observed once that is something.
func (j *journal) write() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tell()
	for _, n := range j.notes() {
		j.warn(n)
	}
}

// tell logs what is observed once that is something. The caller holds mu.
func (j *journal) tell() {
	if text, observes := j.status(); observes && !j.observes {
		j.observes = true
		j.log.Info(text)
	}
}

// warn logs a note, unless it did. The caller holds mu, or is alone.
func (j *journal) warn(note string) {
	if key := withoutNumbers(note); !j.said[key] {
		j.said[key] = true
		j.log.Warn("firsttouch: " + note)
	}
}

// join ends the journal with what is left to say. The agent's stop channel is closed before.
func (j *journal) join() {
	<-j.done
	j.write()
}

// withoutNumbers makes two notes alike that differ in how much they count.
func withoutNumbers(text string) string {
	out := make([]rune, 0, len(text))
	for _, r := range text {
		if !unicode.IsDigit(r) {
			out = append(out, r)
		}
	}
	return string(out)
}
