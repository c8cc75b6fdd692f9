package touchorder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Options of Run.
type Options struct {
	// Under are directories: files elsewhere are not opened, nor those that a link leads out of them to. Without any, all files are read.
	Under []string
	// Bandwidth is how many bytes a second are read at most; 0 is no bound.
	Bandwidth int64
	// Memory is the share of the memory that is free at the start that may be filled; 0 is DefaultMemory.
	Memory float64
	// Yield makes room for the process's own reads: while it makes some, reading ahead pauses for half of the time, and has little under way.
	Yield bool
	// Progress is told how many bytes of how many are done, now and then and at the end, on the goroutine of Run; nil is silent.
	Progress func(done, total int64)
}

// DefaultMemory leaves the other half to the service.
const DefaultMemory = 0.5

// Check reports what cannot be used.
func (o *Options) Check() error {
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	switch {
	case !(o.Memory > 0 && o.Memory <= 1):
		return fmt.Errorf("%w: share %v of the free memory: choose more than 0 and at most 1", ErrOption, o.Memory)
	case o.Bandwidth < 0:
		return fmt.Errorf("%w: bandwidth %d: choose a number of bytes a second, or 0 for no bound", ErrOption, o.Bandwidth)
	}
	for i, dir := range o.Under {
		if dir == "" {
			return fmt.Errorf("%w: an empty directory: name one", ErrOption)
		}
		abs, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		o.Under[i] = abs
	}
	return nil
}

// ErrNotSupported: this system does not allow it.
var ErrNotSupported = errors.New("not supported")

// ErrOption marks an option that cannot be used.
var ErrOption = errors.New("unusable option")

// Result is what Run did. Sizes are in bytes.
type Result struct {
	Wanted  int64         `json:"wanted_bytes"`  // in the order
	Done    int64         `json:"done_bytes"`    // that are in the page cache since
	Storage int64         `json:"storage_bytes"` // that were read from storage for it, as the kernel counts them for block devices; the rest was there
	Took    time.Duration `json:"took_ns"`
	Paused  time.Duration `json:"paused_ns"` // of that, for others' reads and the bandwidth
	Files   []FileResult  `json:"files"`     // those that something has to be said of
	Stopped string        `json:"stopped,omitempty"`
}

// FileResult is a file that was left out, in whole or in part, or that something has to be known of.
type FileResult struct {
	Path    string `json:"path"`
	Skipped int64  `json:"skipped_bytes"`
	Why     string `json:"why"`
}

// Skipped is how many bytes were not read.
func (r *Result) Skipped() (n int64) {
	for _, f := range r.Files {
		n += f.Skipped
	}
	return n
}

// beneath is the directory of Under that a path lies in, and the path from there.
func (o *Options) beneath(path string) (dir, rest string, ok bool) {
	for _, dir := range o.Under {
		if dir == "/" {
			return dir, strings.TrimPrefix(path, "/"), true
		}
		if rest, ok := strings.CutPrefix(path, dir+"/"); ok {
			return dir, rest, true
		}
	}
	return "", "", false
}

// Run reads the ranges into the page cache, in order, by file descriptors of its own: no memory of the process is touched. What cannot be
// read is left out, and named in the result. The error is about the order, the options or the system as a whole, and of ctx.
//
// Storage that does not answer holds it up. Then it returns when ctx ends, and its thread goes on waiting.
func (o *Order) Run(ctx context.Context, opts Options) (Result, error) {
	if err := errors.Join(opts.Check(), o.check(), ctx.Err()); err != nil {
		return Result{}, err
	}
	type outcome struct {
		Result
		error
	}
	done := make(chan outcome, 1)
	var at atomic.Int64
	go func() {
		r, err := o.run(ctx, opts, &at)
		done <- outcome{r, err}
	}()
	tell := func() {
		if opts.Progress != nil {
			opts.Progress(at.Load(), o.Bytes())
		}
	}
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case out := <-done:
			tell()
			return out.Result, out.error
		case <-tick.C:
			tell()
		case <-ctx.Done():
			waiting = false
		}
	}
	select {
	case out := <-done:
		return out.Result, out.error
	case <-time.After(endingMost):
		return Result{Wanted: o.Bytes(), Stopped: "the storage has not answered in time"}, ctx.Err()
	}
}

// tellEvery is how often Progress is told.
const tellEvery = 20 * time.Millisecond

// endingMost is how long a read that was begun is waited for when ctx has ended.
const endingMost = 500 * time.Millisecond

// piece is a range of a file.
type piece struct {
	file *open
	Range
}

// open is a file that is read, or not.
type open struct {
	*File
	fd      int  // -1: not open
	left    int  // ranges that were not read yet; the descriptor is closed after the last one
	out     bool // all of it is skipped
	skipped int64
	why     string
}

// pieces lists all ranges in the order of their first touch, over all files.
func (o *Order) pieces() (list []piece, files []*open) {
	for i := range o.Files {
		f := &open{File: &o.Files[i], fd: -1, left: len(o.Files[i].Ranges)}
		files = append(files, f)
		for _, r := range f.Ranges {
			list = append(list, piece{f, r})
		}
	}
	slices.SortStableFunc(list, func(a, b piece) int { return cmp.Compare(a.At, b.At) })
	return list, files
}
