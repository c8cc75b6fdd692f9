package top

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/recordings"
)

// Options of Run.
type Options struct {
	Agent  string // address, see recordings.Open
	Every  time.Duration
	Times  int // looks before Run ends; 0 for no end
	Out    io.Writer
	Screen func() (columns, rows int) // nil: Out is no terminal, and the looks stand one below the other
}

// The control sequences of a screen of its own, as xterm has them.
const (
	enter = "\x1b[?1049h\x1b[?25l" // the alternate screen, without a cursor
	leave = "\x1b[?25h\x1b[?1049l"
	home  = "\x1b[H"
	wipe  = "\x1b[K\n" // to the end of the line
	below = "\x1b[J"   // to the end of the screen
)

// Run shows an agent until ctx ends, which is no error, or it has looked so often.
func Run(ctx context.Context, o Options) (err error) {
	before, err := look(ctx, o.Agent)
	if err != nil {
		return err
	}
	if o.Screen != nil {
		if _, err := io.WriteString(o.Out, enter); err != nil {
			return err
		}
		defer func() {
			if _, bad := io.WriteString(o.Out, leave); err == nil {
				err = bad
			}
		}()
	}
	tick := time.NewTicker(o.Every)
	defer tick.Stop()
	for n := 0; o.Times == 0 || n < o.Times; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := look(ctx, o.Agent)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := show(o, before, now); err != nil {
			return err
		}
		before = now
	}
	return nil
}

// totals asks for what a recording has without first touches and requests one by one.
const totals = "recording?stored=true&after=9223372036854775807&ended=9223372036854775807"

// answerMost bounds an answer.
const answerMost = 256 << 20

// look asks for the totals.
func look(ctx context.Context, where string) (*summary.Summary, error) {
	body, err := recordings.Fetch(ctx, where, totals)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return decode(where, io.LimitReader(body, answerMost))
}

// decode reads a recording of totals, and lists all of its callers.
func decode(where string, body io.Reader) (*summary.Summary, error) {
	r, err := recording.Read(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	s := summary.Build(r.Snapshot, summary.RequestsOf(r), summary.Limits{Callers: math.MaxInt})
	return &s, nil
}
