package top

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/firsttouch/firsttouch/agent"
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

// answerMost bounds an answer, and the others what is made of it.
const (
	answerMost  = 256 << 20
	objectsBase = 1 << 14
	objectLeast = 20
)

// look asks for the totals, without the faults one by one.
func look(ctx context.Context, where string) (*agent.Document, error) {
	body, err := recordings.Fetch(ctx, where, "snapshot?faults=0")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, answerMost))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return decode(where, text)
}

// decode reads a snapshot. Of an agent's, an object has 30 bytes or more; one of three would take some hundred times as
// much memory.
func decode(where string, text []byte) (*agent.Document, error) {
	if n := bytes.Count(text, []byte("{")); n > objectsBase+len(text)/objectLeast {
		return nil, fmt.Errorf("%s: the answer is no snapshot: %d objects in %d bytes", where, n, len(text))
	}
	var d agent.Document
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("%s: the answer is no snapshot: %w", where, err)
	}
	if d.Schema != agent.DocumentSchema {
		return nil, fmt.Errorf("%s: the snapshot is of form %q, and this command reads %q: use the version of the service", where, d.Schema, agent.DocumentSchema)
	}
	if !d.Active {
		return nil, fmt.Errorf("%s: the agent does nothing: %s", where, d.Reason)
	}
	return &d, nil
}
