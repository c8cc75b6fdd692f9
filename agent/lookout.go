package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// lookout finds the files that match the configured patterns in the profiler's looks at the mappings, and attaches each file
// once: new mappings of it are then found by the profiler.
type lookout struct {
	attach  attachFunc
	since   time.Time
	careful bool // system calls can fail: what a pattern finds is not observed where it can be written to

	looking sync.Mutex // held during a look; guards ended
	ended   bool
	first   chan struct{} // closed after the first look

	mu       sync.Mutex
	patterns []*pattern
	files    map[profiler.MappedFile]error // every one that matched: nil where it is attached, or why not
	looks    int
}

// attachFunc attaches the file at path, which a look has found, as a region of that name.
type attachFunc func(l *profiler.Look, path, name string, opts ...profiler.RegionOption) error

func newLookout(patterns []string, attach attachFunc) *lookout {
	l := &lookout{attach: attach, since: time.Now(), first: make(chan struct{}), files: make(map[profiler.MappedFile]error)}
	for _, p := range patterns {
		l.patterns = append(l.patterns, &pattern{text: p})
	}
	return l
}

// join ends the looks, and waits for one that is made.
func (l *lookout) join() {
	l.looking.Lock()
	defer l.looking.Unlock()
	l.ended = true
}

// look attaches what matches now.
func (l *lookout) look(at *profiler.Look) {
	l.looking.Lock()
	defer l.looking.Unlock()
	if l.ended {
		return
	}
	files := at.Files()
	for f, named := range l.matching(files) {
		l.found(at, f, files[f], named) // without mu: attaching may take long
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.looks++; l.looks == 1 {
		close(l.first)
	}
}

// matching lists the files that match, and whether one of their patterns is a path.
func (l *lookout) matching(files map[profiler.MappedFile]profiler.MappedAs) map[profiler.MappedFile]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	named := make(map[profiler.MappedFile]bool)
	for _, p := range l.patterns {
		p.resolve()
		for f := range files {
			// The kernel's mark of a file without a path any more, which a pattern that ends in * would match.
			if !strings.HasSuffix(f.Path, deleted) && p.matches(f.Path) {
				p.matched = true
				named[f] = named[f] || p.isPath()
			}
		}
	}
	return named
}

const deleted = " (deleted)"

// errWritable is why a file that a pattern found is left alone. Mutexes lie in such files, as in LMDB's lock.mdb, and
// futex(2) on them would fail.
var errWritable = errors.New("it is mapped to be written to, and a system call on a mutex there would fail: " +
	"name its path without *?[ to observe it all the same")

// found attaches a file, unless that was done or cannot help. named: by its path, and not by a pattern alone.
func (l *lookout) found(at *profiler.Look, f profiler.MappedFile, as profiler.MappedAs, named bool) {
	l.mu.Lock()
	err, known := l.files[f]
	if known && !again(err) {
		l.mu.Unlock()
		return
	}
	name := l.nameOf(f)
	l.mu.Unlock()
	err = l.try(at, f, name, as, named)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files[f] = err
}

// try attaches a file, or says why that is not done.
func (l *lookout) try(at *profiler.Look, f profiler.MappedFile, name string, as profiler.MappedAs, named bool) error {
	var opts []profiler.RegionOption
	if l.careful && !named {
		if as.Writable && !as.Readable {
			return errWritable
		}
		opts = append(opts, profiler.WithoutWritableMappings())
	}
	if as.Code {
		// The profiler's own text may be in such a file, and it must not wait for itself.
		return errors.New("it holds program code, which is not profiled")
	}
	err := l.attach(at, f.Path, name, opts...)
	if errors.Is(err, profiler.ErrRegistered) {
		return nil // the service attached it itself
	}
	return err
}

// nameOf names a file by its path. A file that takes the place of another one, as a compacted
// database does, needs a name of its own, since the first one may still be mapped. Called with mu held.
func (l *lookout) nameOf(f profiler.MappedFile) string {
	others := 0
	for have := range l.files {
		if have.Path == f.Path && have != f {
			others++
		}
	}
	if others == 0 {
		return f.Path
	}
	return fmt.Sprintf("%s (file %d of this name)", f.Path, others+1)
}

// again reports whether a failure to attach may pass by itself: the mapping went away at that
// moment, the other threads were too busy to be stopped, a mapping is made that cannot be written to, or what is locked is unlocked.
func again(err error) bool {
	return errors.Is(err, profiler.ErrNotMapped) || errors.Is(err, profiler.ErrBusy) || errors.Is(err, profiler.ErrLocked) || err == errWritable
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
	for _, p := range l.patterns {
		// A service that has just been started has mapped nothing yet.
		if !p.matched && l.looks > 0 && time.Since(l.since) >= quietFor {
			notes = append(notes, fmt.Sprintf("no mapping of this process has matched the files pattern %q so far (%d looks in %v): "+
				"the path is compared as /proc/self/maps shows it, and only files that are mapped into memory count",
				p.text, l.looks, time.Since(l.since).Round(time.Millisecond)))
		}
	}
	for f, err := range l.files {
		if err != nil {
			failed = append(failed, fmt.Sprintf("%s is not profiled: %v", f.Path, err))
		}
	}
	slices.Sort(failed)
	return append(notes, failed...)
}

// looked reports whether a look was made.
func (l *lookout) looked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.looks > 0
}
