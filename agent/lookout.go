package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/internal/pace"
	"github.com/firsttouch/firsttouch/profiler"
)

// lookout finds the mappings of files that match the configured patterns, and attaches each file
// once: new mappings of it are then found by the profiler.
type lookout struct {
	attach  attachFunc
	every   time.Duration
	since   time.Time
	careful bool // system calls can fail: what a pattern finds is not observed where it can be written to
	quit    context.CancelFunc
	stop    <-chan struct{}
	done    chan struct{}

	mu       sync.Mutex
	patterns []*pattern
	files    map[mappedFile]error // every one that matched: nil where it is attached, or why not
	looks    int
	broken   error // why the mappings cannot be read, or nil
}

// attachFunc attaches the file at path as a region of that name.
type attachFunc func(path, name string, opts ...profiler.RegionOption) error

func newLookout(patterns []string, every time.Duration, attach attachFunc) *lookout {
	ctx, quit := context.WithCancel(context.Background())
	l := &lookout{attach: attach, every: every, since: time.Now(), files: make(map[mappedFile]error),
		quit: quit, stop: ctx.Done(), done: make(chan struct{})}
	for _, p := range patterns {
		l.patterns = append(l.patterns, &pattern{text: p})
	}
	return l
}

// start looks once before it returns, so that what is mapped already is profiled from here on, and
// goes on looking until join.
func (l *lookout) start() {
	pace := pace.New(l.every)
	pace.Look(l.look)
	go func() {
		defer close(l.done)
		for {
			select {
			case <-l.stop:
				return
			case <-time.After(pace.Wait()):
				if pace.Due() {
					pace.Look(l.look)
				}
			}
		}
	}()
}

func (l *lookout) join() {
	l.quit()
	<-l.done
}

// look attaches what matches now.
func (l *lookout) look() {
	files, err := mappedFiles()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looks++
	l.broken = err
	named := make(map[mappedFile]bool) // those that match, and whether one of their patterns is a path
	for _, p := range l.patterns {
		p.resolve()
		for f := range files {
			if p.matches(f.path) {
				p.matched = true
				named[f] = named[f] || p.isPath()
			}
		}
	}
	for f, named := range named {
		l.found(f, files[f], named)
	}
}

// errWritable is why a file that a pattern found is left alone. Mutexes lie in such files, as in LMDB's lock.mdb, and
// futex(2) on them would fail.
var errWritable = errors.New("it is mapped to be written to, and a system call on a mutex there would fail: " +
	"name its path without *?[ to observe it all the same")

// found attaches a file, unless that was done or cannot help. named: by its path, and not by a pattern alone. Called
// with mu held.
func (l *lookout) found(f mappedFile, as mappedAs, named bool) {
	if err, known := l.files[f]; known && !again(err) {
		return
	}
	var opts []profiler.RegionOption
	if l.careful && !named {
		if as.writable && !as.readable {
			l.files[f] = errWritable
			return
		}
		opts = append(opts, profiler.WithoutWritableMappings())
	}
	if as.code {
		// The profiler's own text may be in such a file, and it must not wait for itself.
		l.files[f] = errors.New("it holds program code, which is not profiled")
		return
	}
	err := l.attach(f.path, l.nameOf(f), opts...)
	if errors.Is(err, profiler.ErrRegistered) {
		err = nil // the service attached it itself
	}
	l.files[f] = err
}

// nameOf names a file by its path. A file that takes the place of another one, as a compacted
// database does, needs a name of its own, since the first one may still be mapped.
func (l *lookout) nameOf(f mappedFile) string {
	others := 0
	for have := range l.files {
		if have.path == f.path && have != f {
			others++
		}
	}
	if others == 0 {
		return f.path
	}
	return fmt.Sprintf("%s (file %d of this name)", f.path, others+1)
}

// again reports whether a failure to attach may pass by itself: the mapping went away at that
// moment, the other threads were too busy to be stopped, or a mapping is made that cannot be written to.
func again(err error) bool {
	return errors.Is(err, profiler.ErrNotMapped) || errors.Is(err, profiler.ErrBusy) || err == errWritable
}

// matched counts the patterns that a mapping has matched.
func (l *lookout) matched() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.patterns {
		if p.matched {
			n++
		}
	}
	return n
}

// notes reports the patterns without a match and the files that could not be attached.
func (l *lookout) notes() (notes []string) {
	var failed []string
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		notes = append(notes, fmt.Sprintf("the mappings of this process cannot be listed, so no file is found: %v", l.broken))
	}
	for _, p := range l.patterns {
		if !p.matched {
			notes = append(notes, fmt.Sprintf("no mapping of this process has matched the files pattern %q so far (%d looks in %v): "+
				"the path is compared as /proc/self/maps shows it, and only files that are mapped into memory count",
				p.text, l.looks, time.Since(l.since).Round(time.Millisecond)))
		}
	}
	for f, err := range l.files {
		if err != nil {
			failed = append(failed, fmt.Sprintf("%s is not profiled: %v", f.path, err))
		}
	}
	slices.Sort(failed)
	return append(notes, failed...)
}
