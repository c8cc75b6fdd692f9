package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/internal/endpoint"
	"github.com/firsttouch/firsttouch/internal/prefetch"
	"github.com/firsttouch/firsttouch/internal/touchorder"
	"github.com/firsttouch/firsttouch/profiler"
)

// learnPrefix is in front of a directory in which orders are learned.
const learnPrefix = "learn:"

// What is learned: the first minutes of the last starts. A start that ended sooner teaches nothing.
const (
	learnTime   = 2 * time.Minute
	learnStarts = 5
	learnedName = "start-"
	orderSuffix = ".touch"
)

// ahead is what is configured of reading ahead.
type ahead struct {
	order string        // file, or empty
	learn string        // directory, or empty
	time  time.Duration // how long a start is learned from
	touchorder.Options
}

// setPrefetch takes an order file, or learn:DIR.
func (c *config) setPrefetch(what string) error {
	dir, learn := strings.CutPrefix(what, learnPrefix)
	abs, err := filepath.Abs(dir)
	if err != nil || dir == "" {
		return fmt.Errorf("%w: prefetch %q: give the path of an order file, or learn: and a directory", profiler.ErrInvalid, what)
	}
	if c.ahead.order, c.ahead.learn = abs, ""; learn {
		c.ahead.order, c.ahead.learn = "", abs
	}
	c.ahead.time = learnTime
	return nil
}

func (c *config) setPrefetchLimits(bandwidth int64, memory float64, under []string) error {
	o := touchorder.Options{Bandwidth: bandwidth, Memory: memory, Under: slices.Clone(under)}
	if err := o.Check(); err != nil {
		return fmt.Errorf("%w: %w", profiler.ErrInvalid, err)
	}
	c.ahead.Options = o
	return nil
}

// prefetcher reads ahead what earlier starts touched first, and learns what this one does.
type prefetcher struct {
	cfg  ahead
	prof *profiler.Profiler // nil where nothing can be learned
	done chan struct{}

	mu      sync.Mutex // guards what follows
	order   *touchorder.Order
	result  touchorder.Result
	over    bool     // reading ahead has ended
	learned string   // file of this start, or empty
	trouble []string // for the notes
}

// startPrefetch begins to read ahead. It ends with stop, and then does not wait for storage.
func startPrefetch(stop context.Context, cfg ahead, prof *profiler.Profiler) *prefetcher {
	p := &prefetcher{cfg: cfg, prof: prof, done: make(chan struct{})}
	p.cfg.Yield = true
	go p.run(stop)
	return p
}

func (p *prefetcher) run(stop context.Context) {
	defer close(p.done)
	start := time.Now()
	order, err := p.load()
	if err == nil && order != nil {
		p.mu.Lock()
		p.order = order
		p.mu.Unlock()
		var result touchorder.Result
		result, err = order.Run(stop, p.cfg.Options)
		p.mu.Lock()
		p.result = result
		for _, f := range result.Files {
			p.say("%s: %s", f.Path, f.Why)
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	p.over = true
	if err != nil && stop.Err() == nil {
		p.say("%v", err)
	}
	p.mu.Unlock()
	if p.cfg.learn == "" || p.prof == nil {
		return
	}
	select {
	case <-time.After(p.cfg.time - time.Since(start)):
	case <-stop.Done():
		return
	}
	path, err := p.keep()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.learned = path; err != nil {
		p.say("what this start touched could not be learned: %v", err)
	}
}

// troublesMost bounds the notes.
const troublesMost = 8

// say adds to the notes. The caller holds mu.
func (p *prefetcher) say(format string, args ...any) {
	if len(p.trouble) < troublesMost {
		p.trouble = append(p.trouble, "prefetch: "+fmt.Sprintf(format, args...))
	}
}

// load reads the order, or what the learned starts agree on; nil where nothing was learned yet.
func (p *prefetcher) load() (*touchorder.Order, error) {
	if p.cfg.order != "" {
		return readOrder(p.cfg.order)
	}
	if err := os.MkdirAll(p.cfg.learn, 0o700); err != nil {
		return nil, fmt.Errorf("the directory to learn in: choose one that this process can write: %w", err)
	}
	var starts []*touchorder.Order
	names := p.learnedFiles()
	for _, name := range names[max(len(names)-learnStarts, 0):] {
		o, err := readOrder(name)
		if err != nil { // of a disk that was full, say: the others are as good
			p.mu.Lock()
			p.say("%v", err)
			p.mu.Unlock()
			continue
		}
		starts = append(starts, o)
	}
	if len(starts) == 0 {
		return nil, nil
	}
	return touchorder.Agreed(starts, 0), nil
}

// learnedFiles are the orders of earlier starts, oldest first: their names begin with the time.
func (p *prefetcher) learnedFiles() []string {
	names, _ := filepath.Glob(filepath.Join(escaped(p.cfg.learn), learnedName+"*"+orderSuffix))
	slices.Sort(names)
	return names
}

// escaped is a path as a pattern that matches it alone.
func escaped(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// keep writes what this start has touched, and removes the oldest start where there are too many.
func (p *prefetcher) keep() (path string, err error) {
	p.prof.Flush()
	order := prefetch.OrderOf(p.prof.Snapshot(), fmt.Sprintf("the first %v of process %d", p.cfg.time, os.Getpid())).Order
	p.mu.Lock()
	if p.order != nil {
		order.Inherit(p.order)
	}
	p.mu.Unlock()
	order.Identify()
	if len(order.Files) == 0 {
		return "", errors.New("it touched no file that can be read ahead")
	}
	path = filepath.Join(p.cfg.learn, fmt.Sprintf("%s%s-%d%s", learnedName, time.Now().UTC().Format("20060102T150405.000Z"), os.Getpid(), orderSuffix))
	if err := writeWhole(path, order.Write); err != nil {
		return "", err
	}
	for all := p.learnedFiles(); len(all) > learnStarts; all = all[1:] {
		if e := os.Remove(all[0]); !errors.Is(e, fs.ErrNotExist) { // another process of the service may have
			err = errors.Join(err, e)
		}
	}
	return path, err
}

func readOrder(name string) (*touchorder.Order, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: write an order with firsttouch prefetch RECORDING -out FILE", err)
	}
	defer f.Close()
	o, err := touchorder.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return o, nil
}

func (p *prefetcher) notes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.trouble)
}

// prefetchDocument is what GET prefetch answers. Sizes are in bytes.
type prefetchDocument struct {
	Order    string             `json:"order"` // the file, or learn: and the directory
	Starts   int                `json:"starts"`
	Ranges   int                `json:"ranges"`
	Bytes    int64              `json:"bytes"`
	Expected time.Duration      `json:"expected_ns"` // for how long threads waited for the disk because of them
	Over     bool               `json:"over"`        // reading ahead has ended
	Read     *touchorder.Result `json:"read,omitempty"`
	// Outcome is what the first touches so far show; nil where nothing was read ahead, or nothing is profiled.
	Outcome *prefetch.Outcome `json:"outcome,omitempty"`
	Learned string            `json:"learned,omitempty"` // file that this start was written to
	Notes   []string          `json:"notes"`
}

func (p *prefetcher) document() prefetchDocument {
	p.mu.Lock()
	d := prefetchDocument{Order: p.cfg.order, Over: p.over, Learned: p.learned, Notes: append([]string{}, p.trouble...)}
	order, result := p.order, p.result
	p.mu.Unlock()
	if p.cfg.learn != "" {
		d.Order = learnPrefix + p.cfg.learn
	}
	if order == nil {
		return d
	}
	d.Starts, d.Ranges, d.Bytes, d.Expected = order.Starts, order.Ranges(), order.Bytes(), order.Saves()
	if d.Over {
		d.Read = &result
	}
	if p.prof != nil {
		o := prefetch.Measure(order, p.prof.Snapshot())
		d.Outcome = &o
	}
	return d
}

func (a *Agent) servePrefetch(w http.ResponseWriter, _ *http.Request) {
	if a.ahead == nil {
		http.Error(w, "nothing is read ahead: set FIRSTTOUCH_PREFETCH, or the option WithPrefetch", http.StatusNotFound)
		return
	}
	if !endpoint.Begin(w) {
		return
	}
	header(w, "application/json; charset=utf-8")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	// An error here is the client's: it has left.
	_ = e.Encode(a.ahead.document())
}
