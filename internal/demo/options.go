package demo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/internal/demo/index"
)

// Options say what to run and where to put it.
type Options struct {
	Out         string // directory of the results
	Cache       string // directory of the index; empty: in the user's cache directory
	Source      string // tree to index; empty: src of the Go distribution
	Listen      string // address of the service
	Requests    int    // a phase
	Concurrency int    // clients
	Seed        uint64
	Granule     int           // bytes that one fault resolves; 0: the page size
	Windows     bool          // show working sets by window: of the database, and of a cache of answers
	Heap        bool          // with Windows: of the Go heap too
	Window      time.Duration // length of one, 0: 2 s
	Prefetch    bool          // start the service cold, cold with prefetch, and warm
	Serve       bool
	JSON        bool // print the summary as JSON

	Stdout   io.Writer      // for the result
	Stderr   io.Writer      // for the service's diagnostics
	Step     func(string)   // is told what begins and how long it takes; nil is silent
	Progress index.Progress // within a step, may be called from several goroutines; nil is silent
	// BeforeOutput is called once before the result is printed; nil is nothing.
	BeforeOutput func()
	// Command is how the user runs this program, for the commands that the result suggests; empty: firsttouch.
	Command string
	// Service is the command that runs ServeControl on its standard input and output.
	Service []string

	stage time.Duration // with Windows: how long each of the parts after the phases takes; 0: stageLength
}

// ErrUsage says that an option has a value that cannot be used.
var ErrUsage = errors.New("unusable option")

const (
	maxRequests    = 1_000_000
	maxConcurrency = 1024
)

func (o *Options) check() error {
	switch {
	case o.Out == "":
		return fmt.Errorf("%w: -out is empty: name a directory", ErrUsage)
	case o.Requests < 1 || o.Requests > maxRequests:
		return fmt.Errorf("%w: -requests %d: choose 1 to %d", ErrUsage, o.Requests, maxRequests)
	case o.Prefetch && o.Serve:
		return fmt.Errorf("%w: -prefetch and -serve: what is served keeps the database in the page cache, so that no start would be cold: choose one of them", ErrUsage)
	case o.Concurrency < 1 || o.Concurrency > maxConcurrency:
		return fmt.Errorf("%w: -concurrency %d: choose 1 to %d", ErrUsage, o.Concurrency, maxConcurrency)
	}
	if o.Window == 0 {
		o.Window = windowLength
	}
	if o.stage == 0 {
		o.stage = stageLength
	}
	if o.Window < shortestWindow {
		return fmt.Errorf("%w: -window %v: choose %v or more", ErrUsage, o.Window, shortestWindow)
	}
	if page := os.Getpagesize(); o.Granule != 0 && (o.Granule < page || o.Granule&(o.Granule-1) != 0 || o.Granule > 1<<30) {
		return fmt.Errorf("%w: -granule %d: choose a power of two from the page size, %d, to 1 GiB", ErrUsage, o.Granule, page)
	}
	return nil
}

func (o *Options) command() string {
	if o.Command == "" {
		return "firsttouch"
	}
	return o.Command
}

func (o *Options) cacheDir() (string, error) {
	if o.Cache != "" {
		return o.Cache, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory for the index: %w: name one with -cache", err)
	}
	return filepath.Join(dir, "firsttouch", "demo"), nil
}

// sourceDir finds the source of a Go distribution.
func (o *Options) sourceDir() (string, error) {
	if o.Source != "" {
		return o.Source, nil
	}
	root := os.Getenv("GOROOT")
	if root == "" {
		// Not runtime.GOROOT: the program may have been built on another machine.
		out, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			return "", fmt.Errorf("looking for Go's source to index: %w: install Go, set GOROOT, or name a directory of Go files with -source", err)
		}
		root = strings.TrimSpace(string(out))
	}
	src := filepath.Join(root, "src")
	if _, err := os.Stat(src); err != nil {
		return "", fmt.Errorf("looking for Go's source to index: %w: set GOROOT to a distribution with src, or name a directory of Go files with -source", err)
	}
	return src, nil
}
