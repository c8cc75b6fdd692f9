package agent

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
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
	// givenBack reports whether a region of that name was given back for good; nil is none.
	givenBack func(name string) bool

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

// attachFunc attaches files that a look has found: for each a region, or why there is none.
type attachFunc func(l *profiler.Look, files []profiler.FoundFile) ([]*profiler.Region, []error)

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
	l.found(at, l.matching(files), files)
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

// found attaches files that patterns have found, together, so that the process's threads are stopped as rarely as fits.
func (l *lookout) found(at *profiler.Look, of map[profiler.MappedFile]*pattern, files map[profiler.MappedFile]profiler.MappedAs) {
	var list []profiler.FoundFile
	var which []profiler.MappedFile
	l.mu.Lock()
	for _, f := range slices.SortedFunc(maps.Keys(of), func(a, b profiler.MappedFile) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Dev, b.Dev), cmp.Compare(a.Inode, b.Inode))
	}) {
		if have, known := l.files[f]; known && !again(have.err) {
			continue
		}
		o := outcome{name: l.nameOf(f)}
		var opts []profiler.RegionOption
		if l.givenBack != nil && l.givenBack(o.name) {
			o.err = errGivenBack
		} else if opts, o.err = l.options(files[f], of[f].isPath()); o.err == nil {
			opts = append(opts, profiler.WithName(o.name), profiler.WithGroup(l.group.of(of[f], f.Path)), profiler.UntilUnmapped())
			list, which = append(list, profiler.FoundFile{Path: f.Path, Options: opts}), append(which, f)
		}
		l.files[f] = o
	}
	l.mu.Unlock()
	if len(list) == 0 {
		return
	}
	regions, errs := l.attach(at, list) // without mu: it may take long
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, f := range which {
		o := outcome{l.files[f].name, regions[i], errs[i]}
		if errors.Is(o.err, profiler.ErrRegistered) {
			o.err = nil // the service attached it itself
		}
		l.files[f] = o
	}
}

// options are those that a file is to be attached with, or why it is not to be. named: by its path, and not by a pattern alone.
func (l *lookout) options(as profiler.MappedAs, named bool) (opts []profiler.RegionOption, err error) {
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
	return opts, nil
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
