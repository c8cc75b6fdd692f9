package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
)

// recorder writes recordings to files: after slow requests, by a goroutine of its own, and at the end.
type recorder struct {
	dir   string
	slow  time.Duration // 0: not after slow requests
	pause time.Duration // at least, between two of them
	make  func(scope recording.Scope, reason string) *recording.Recording

	asked chan string // reasons
	stop  chan struct{}
	done  chan struct{}

	ending  sync.Once
	mu      sync.Mutex // guards what follows
	kept    []string   // of slow requests, oldest first
	skipped uint64
	failed  error // the last one
}

const (
	slowPause = 10 * time.Second // a slow minute is not to fill the disk
	slowFiles = 16               // kept of one process; the oldest goes
)

// newRecorder makes the directory, so that what is wrong with it shows at the start.
func newRecorder(dir string, slow time.Duration) (*recorder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory for recordings (WithRecordings or FIRSTTOUCH_RECORD_DIR): choose one that this process can write: %w", err)
	}
	return &recorder{dir: dir, slow: slow, pause: slowPause,
		asked: make(chan string, 1), stop: make(chan struct{}), done: make(chan struct{})}, nil
}

// ended looks at a request on its own goroutine, so it never waits.
func (r *recorder) ended(q *recording.Request) {
	if r.slow == 0 || q.Duration < r.slow || q.Tree.Faults == 0 {
		return
	}
	reason := fmt.Sprintf("the request %s took %v, of which its goroutines waited %v for %d first touches; trace %x",
		strings.TrimSpace(q.Name+" "+q.Target), q.Duration, q.Tree.Stall, q.Tree.Faults, q.TraceID)
	select {
	case r.asked <- reason:
	default:
		r.mu.Lock()
		r.skipped++
		r.mu.Unlock()
	}
}

// start begins to write; end ends it.
func (r *recorder) start() {
	go func() {
		defer close(r.done)
		for {
			select {
			case <-r.stop:
				return
			case reason := <-r.asked:
				r.record(reason)
			}
			select {
			case <-r.stop:
				return
			case <-time.After(r.pause):
			}
		}
	}()
}

// end ends it, and writes the last recording, if there is one. Further calls do nothing.
func (r *recorder) end(last *recording.Recording) (err error) {
	r.ending.Do(func() {
		close(r.stop)
		<-r.done
		if last != nil {
			_, err = r.write(last, "exit")
		}
	})
	return err
}

// over reports whether it has ended.
func (r *recorder) over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// record writes the latest faults, and removes the oldest of its files where there are too many.
func (r *recorder) record(reason string) {
	path, err := r.write(r.make(recording.ScopeWindow, reason), "slow")
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed = err; err != nil {
		return
	}
	if r.kept = append(r.kept, path); len(r.kept) > slowFiles {
		r.failed = os.Remove(r.kept[0])
		r.kept = r.kept[1:]
	}
}

func (r *recorder) write(rec *recording.Recording, kind string) (path string, err error) {
	path = filepath.Join(r.dir, strings.TrimSuffix(recordingName(rec), recordingSuffix)+"-"+kind+recordingSuffix)
	if err := writeWhole(path, func(w io.Writer) error { return recording.Write(w, rec) }); err != nil {
		return "", err
	}
	return path, nil
}

// writeWhole makes a file that is either whole or not there.
func writeWhole(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".firsttouch-*")
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func (r *recorder) notes() (notes []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.skipped > 0 {
		notes = append(notes, fmt.Sprintf("%d slow requests have no recording of their own: there is one in %v at most", r.skipped, r.pause))
	}
	if r.failed != nil {
		notes = append(notes, fmt.Sprintf("the last recording of a slow request failed: %v", r.failed))
	}
	return notes
}
