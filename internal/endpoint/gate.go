package endpoint

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	// answersMost is how many answers are made at a time: each holds a snapshot, whose memory grows with what was touched.
	answersMost = 2
	// waitMost is how long a request waits for its turn.
	waitMost = 30 * time.Second
	// patience is how long a client may read nothing while others wait.
	patience = time.Second
	// stallMost is how long a client may read nothing at all, and paceLeast how many bytes a second it has to read beyond that on average.
	stallMost = 20 * time.Second
	paceLeast = 16 << 10
	// pieceMost is what is written with one deadline.
	pieceMost = 32 << 10
	// renewal is how often the deadline is set.
	renewal = time.Second
)

var errTurn = errors.New("too many answers are being made")

// gate lets answers be made, so many at a time.
type gate struct {
	patience time.Duration

	mu     sync.Mutex // guards what follows
	active map[*answer]bool
	turn   chan struct{} // closed when an answer ends; nil where nobody waits
}

// answer is the way of an answer to the client.
type answer struct {
	http.ResponseWriter
	gate    *gate
	ctx     context.Context
	control *http.ResponseController
	start   time.Time

	mu      sync.Mutex // guards what follows; not held while writing
	written int64
	began   bool
	set     time.Time // when the deadline was set
	moved   time.Time // when the client last took something
	blocked bool      // in a write
	cut     bool
}

func (g *gate) answer(w http.ResponseWriter, r *http.Request) *answer {
	// net/http takes the deadline of a connection away at the end of each request.
	return &answer{ResponseWriter: w, gate: g, ctx: r.Context(), control: http.NewResponseController(w)}
}

// Wait is called before something that takes so long, after which there will be an answer. It reports whether the server waits for
// that too.
func Wait(w http.ResponseWriter, d time.Duration) bool {
	return http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d+stallMost)) == nil
}

// Begin waits until the answer may be made. A handler calls it before it takes a snapshot, and after what takes long. Where it returns false
// it has answered.
func Begin(w http.ResponseWriter) bool {
	a, ok := w.(*answer)
	if !ok {
		return true
	}
	err := a.gate.enter(a)
	switch {
	case errors.Is(err, errTurn):
		tooMany(a)
	case err != nil: // the server ends, or the client has left, which this does not reach
		http.Error(a, "the endpoint ends", http.StatusServiceUnavailable)
	}
	return err == nil
}

func (g *gate) enter(a *answer) error {
	late := time.NewTimer(waitMost)
	defer late.Stop()
	for {
		g.mu.Lock()
		if len(g.active) < answersMost {
			if g.active == nil {
				g.active = make(map[*answer]bool)
			}
			g.active[a] = true
			a.start = time.Now()
			g.mu.Unlock()
			return nil
		}
		if g.turn == nil {
			g.turn = make(chan struct{})
		}
		turn := g.turn
		g.mu.Unlock()
		g.cutStalled()
		select {
		case <-turn:
		case <-time.After(g.patience / 4):
		case <-a.ctx.Done():
			return a.ctx.Err()
		case <-late.C:
			return errTurn
		}
	}
}

// cutStalled cuts off the answers whose clients have read nothing for a while.
func (g *gate) cutStalled() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for a := range g.active {
		a.cutIfStalled()
	}
}

func (g *gate) leave(a *answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.active, a)
	if g.turn != nil {
		close(g.turn)
		g.turn = nil
	}
}

func (a *answer) cutIfStalled() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.blocked && !a.cut && time.Since(a.moved) > a.gate.patience {
		a.cut = true
		_ = a.control.SetWriteDeadline(time.Now()) // where it is not supported nothing can be done
	}
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(code int) {
	a.mu.Lock()
	a.began = true
	a.mu.Unlock()
	a.ResponseWriter.WriteHeader(code)
}

// Write writes in pieces: who takes one of them has time for the next.
func (a *answer) Write(b []byte) (n int, err error) {
	for first := true; first || len(b) > 0; first = false {
		piece := b[:min(len(b), pieceMost)]
		b = b[len(piece):]
		if err := a.before(len(piece)); err != nil {
			return n, err
		}
		m, err := a.ResponseWriter.Write(piece)
		a.after(m)
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

func (a *answer) before(n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.start.IsZero() {
		a.start = now
	}
	if a.cut {
		return http.ErrHandlerTimeout
	}
	if now.Sub(a.set) >= renewal {
		a.set = now
		end := now.Add(stallMost)
		if pace := a.start.Add(stallMost + time.Duration(a.written+int64(n))*time.Second/paceLeast); pace.Before(end) {
			end = pace
		}
		_ = a.control.SetWriteDeadline(end) // see cutIfStalled
	}
	a.began, a.blocked, a.moved = true, true, now
	return nil
}

func (a *answer) after(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.blocked = false
	a.written += int64(n)
}

// end reports whether anything was answered. The rest of the answer is what the server has in its buffer; for that the deadline
// is set once more.
func (a *answer) end() (began bool) {
	a.gate.leave(a)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.began && !a.cut {
		_ = a.control.SetWriteDeadline(time.Now().Add(stallMost))
	}
	return a.began
}
