package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// stages writes a line where a stage begins, for output that is no terminal. It is safe for concurrent use.
type stages struct {
	w io.Writer

	mu   sync.Mutex // guards what follows
	last string
}

func (s *stages) report(stage string, _, _ int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stage != s.last {
		s.last = stage
		fmt.Fprintln(s.w, stage)
	}
}

// progress draws a bar for one stage after the other. It is safe for concurrent use.
type progress struct {
	w io.Writer

	mu    sync.Mutex // guards what follows
	stage string
	bar   *progressbar.ProgressBar
}

func newProgress(w io.Writer) *progress { return &progress{w: w} }

// report draws the bar of a stage, which is cleared when its end or another stage comes.
func (p *progress) report(stage string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil || stage != p.stage {
		p.clear()
		p.stage = stage
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(p.w),
			progressbar.OptionSetDescription(stage),
			progressbar.OptionSetWidth(30),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionClearOnFinish())
	}
	_ = p.bar.Set64(done) // a terminal that cannot be written is no reason to stop
}

// finish removes the bar, so that a result or an error stands alone.
func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}
