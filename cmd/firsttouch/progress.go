package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress draws a bar for one stage after the other. It is safe for concurrent use.
type progress struct {
	w io.Writer

	mu    sync.Mutex // guards what follows
	stage string
	bar   *progressbar.ProgressBar
}

// A bar, and beside it percent, the time that passed and the time that is left. What is wider than the terminal would leave a line behind
// each time that it is drawn.
const (
	barWidth        = 20
	barText         = 24
	terminalColumns = 80 // where nothing tells
)

func newProgress(w io.Writer) *progress { return &progress{w: w} }

// say writes a line that stays.
func (p *progress) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintln(p.w, plain.Line(text))
}

// report draws the bar of a stage, which is cleared when its end or another stage comes.
func (p *progress) report(stage string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil || stage != p.stage {
		p.clear()
		p.stage = stage
		columns := terminalColumns
		if f, ok := p.w.(*os.File); ok {
			if c, _, err := term.GetSize(int(f.Fd())); err == nil {
				columns = c
			}
		}
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(p.w),
			progressbar.OptionSetDescription(shortened(plain.Line(stage), columns-barWidth-barText)),
			progressbar.OptionSetWidth(barWidth),
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

// shortened keeps the end of a text, where names differ.
func shortened(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	return "..." + string(r[len(r)-max(width-3, 0):])
}
