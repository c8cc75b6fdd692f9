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
	group   Grouping

	looking sync.Mutex // held during a look; guards ended
	ended   bool
	first   chan struct{} // closed after the first look

	mu       sync.Mutex
	patterns []*pattern
	files    map[profiler.MappedFile]outcome // those that matched, and are mapped or were not long ago
	looks    int
}

// outcome is what became of a file that matched.
type outcome struct {
	name   string
	region *profiler.Region // nil where the service attached it itself, or it is not attached
	err    error            // why not
}

// attachFunc attaches the file at path, which a look has found, as a region of that name.
type attachFunc func(l *profiler.Look, path, name string, opts ...profiler.RegionOption) (*profiler.Region, error)

func newLookout(patterns []string, attach attachFunc) *lookout {
	l := &lookout{attach: attach, since: time.Now(), first: make(chan struct{}), files: make(map[profiler.MappedFile]outcome)}
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
	l.forget(files)
	for f, p := range l.matching(files) {
		l.found(at, f, files, p) // without mu: attaching may take long
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.looks++; l.looks == 1 {
		close(l.first)
	}
}

// failuresMost bounds the files that are named as not profiled when they are not mapped any more.
const failuresMost = 64

// forget forgets the files whose regions are closed, since they have gone, and those that are not mapped any more.
func (l *lookout) forget(files map[profiler.MappedFile]profiler.MappedAs) {
	l.mu.Lock()
	defer l.mu.Unlock()
	failed := 0
	for f, o := range l.files {
		_, mapped := files[f]
		if o.err != nil && !mapped {
			failed++
		}
		if o.region != nil && o.region.Closed() || o.region == nil && !mapped && (o.err == nil || failed > failuresMost) {
			delete(l.files, f)
		}
	}
}

// matching lists the files that match and are not known yet, with their pattern: one that is a path goes before others.
func (l *lookout) matching(files map[profiler.MappedFile]profiler.MappedAs) map[profiler.MappedFile]*pattern {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := make(map[profiler.MappedFile]*pattern)
	for _, p := range l.patterns {
		p.resolve()
		for f := range files {
			if o, known := l.files[f]; known && !again(o.err) && p.matched {
				continue
			}
			// The kernel's mark of a file without a path any more, which a pattern that ends in * would match.
			if !strings.HasSuffix(f.Path, deleted) && p.matches(f.Path) {
				p.matched = true
				if have := of[f]; have == nil || !have.isPath() && p.isPath() {
					of[f] = p
				}
			}
		}
	}
	return of
}

const deleted = " (deleted)"

// errWritable is why a file that a pattern found is left alone. Mutexes lie in such files, as in LMDB's lock.mdb, and
// futex(2) on them would fail.
var errWritable = errors.New("it is mapped to be written to, and a system call on a mutex there would fail: " +
	"name its path without *?[ to observe it all the same")

// found attaches a file that a pattern has found, unless that was done or cannot help.
func (l *lookout) found(at *profiler.Look, f profiler.MappedFile, files map[profiler.MappedFile]profiler.MappedAs, p *pattern) {
	l.mu.Lock()
	if o, known := l.files[f]; known && !again(o.err) {
		l.mu.Unlock()
		return
	}
	name, group := l.nameOf(f), l.group.of(p, f.Path)
	l.mu.Unlock()
	r, err := l.try(at, f, name, files[f], p.isPath(), profiler.WithGroup(group), profiler.UntilUnmapped())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files[f] = outcome{name, r, err}
}

// try attaches a file, or says why that is not done. named: by its path, and not by a pattern alone.
func (l *lookout) try(at *profiler.Look, f profiler.MappedFile, name string, as profiler.MappedAs, named bool, opts ...profiler.RegionOption) (*profiler.Region, error) {
	if l.careful && !named {
		if as.Writable && !as.Readable {
			return nil, errWritable
		}
		opts = append(opts, profiler.WithoutWritableMappings())
	}
	if as.Code {
		// The profiler's own text may be in such a file, and it must not wait for itself.
		return nil, errors.New("it holds program code, which is not profiled")
	}
	r, err := l.attach(at, f.Path, name, opts...)
	if errors.Is(err, profiler.ErrRegistered) {
		return nil, nil // the service attached it itself
	}
	return r, err
}

// nameOf names a file by its path. A file that takes the place of another one, as a compacted
// database does, needs a name of its own, since the first one may still be mapped. Called with mu held.
func (l *lookout) nameOf(f profiler.MappedFile) string {
	taken := make(map[string]bool)
	for have, o := range l.files {
		if have.Path == f.Path && have != f && o.err == nil {
			taken[o.name] = true
		}
	}
	name := f.Path
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s (file %d of this name)", f.Path, n)
	}
	return name
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
	for f, o := range l.files {
		if o.err != nil {
			failed = append(failed, fmt.Sprintf("%s is not profiled: %v", f.Path, o.err))
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
