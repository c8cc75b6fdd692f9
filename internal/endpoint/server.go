package endpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/internal/plain"
)

// connectionsMost is how many connections there are at a time unless something else is said. Beyond that, the one that has waited longest for its client to ask goes.
const connectionsMost = 64

// endingMost is how long requests may take that go on when the server ends, whatever its caller grants.
const endingMost = 10 * time.Second

// Server serves a handler at an address of its own. It is safe for concurrent use.
type Server struct {
	listener net.Listener
	server   *http.Server
	guard    *Guard
	most     int // connections
	done     chan struct{}
	base     context.Context // of all requests, until Shutdown
	end      context.CancelFunc

	mu     sync.Mutex    // guards what follows
	conns  []*connection // the oldest first
	lines  int           // that net/http wanted to log
	last   string        // of them
	failed error         // why it ended by itself, or nil
}

// connection is one of a client.
type connection struct {
	net.Conn
	busy int // requests on it that are served
}

type connectionKey struct{}

// Serve listens on an address and serves a handler there, which has the guard in front of what is worth guarding. Without a host the
// address is loopback. There are at most so many connections at a time; 0 is for 64.
func Serve(ctx context.Context, address string, guard *Guard, handler http.Handler, connections int) (*Server, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", Address(address))
	if err != nil {
		return nil, err
	}
	s := &Server{listener: l, guard: guard, most: cmp.Or(connections, connectionsMost), done: make(chan struct{})}
	s.base, s.end = context.WithCancel(context.Background())
	if s.Loopback() {
		handler = LocalOnly(handler)
	}
	s.server = &http.Server{
		Handler:           s.counted(handler),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second, // nobody has a body to send
		WriteTimeout:      stallMost,        // renewed while the client reads, see answer
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(s, "", 0),
		BaseContext:       func(net.Listener) context.Context { return s.base },
		ConnContext:       s.opened,
		ConnState:         s.changed,
	}
	go func() { // joined by Shutdown
		defer close(s.done)
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.mu.Lock()
			s.failed = err
			s.mu.Unlock()
		}
	}()
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Loopback reports whether only this machine reaches it.
func (s *Server) Loopback() bool {
	addr, ok := s.listener.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

// Done is closed when it has ended, by itself or by Shutdown.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is why it ended by itself, or nil.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Notes say what went wrong, and who is not kept from it.
func (s *Server) Notes() (notes []string) {
	if !s.Loopback() && !s.guard.asks {
		notes = append(notes, fmt.Sprintf("the debug endpoint listens on %v without authentication: "+
			"whoever reaches it sees file and function names, and can have regions armed again", s.listener.Addr()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		notes = append(notes, fmt.Sprintf("the debug endpoint ended: %v", s.failed))
	}
	if s.lines > 0 {
		notes = append(notes, fmt.Sprintf("the debug endpoint reported %d errors of its connections, the last one: %s", s.lines, s.last))
	}
	return notes
}

// Write takes what net/http logs, which is about clients: it does not belong into the service's output, and one client could fill that.
func (s *Server) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines++
	first, _, _ := strings.Cut(string(line), "\n")
	s.last = plain.Line(plain.Cut(first, 300))
	return len(line), nil
}

// opened counts a connection, and closes another where there are too many.
func (s *Server) opened(ctx context.Context, c net.Conn) context.Context {
	own := &connection{Conn: c}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= s.most {
		victim := c // where all others are busy
		for i, o := range s.conns {
			if o.busy == 0 {
				victim = o.Conn
				s.conns = append(s.conns[:i:i], s.conns[i+1:]...)
				break
			}
		}
		_ = victim.Close() // whose client is told by that
		if victim == c {
			return ctx
		}
	}
	s.conns = append(s.conns, own)
	return context.WithValue(ctx, connectionKey{}, own)
}

func (s *Server) changed(c net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.conns {
		if o.Conn == c {
			s.conns = append(s.conns[:i:i], s.conns[i+1:]...)
			return
		}
	}
}

// counted keeps a connection whose request is served.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connectionKey{}).(*connection); ok {
			s.busy(c, 1)
			defer s.busy(c, -1)
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) busy(c *connection, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.busy += n
}

// Shutdown ends it: at once for who asks nothing, when their answers are complete for others, and at the latest when ctx ends, or a client
// reads nothing for a second, or ten have passed. Further calls do nothing.
func (s *Server) Shutdown(ctx context.Context) error {
	s.end() // for who waits for a turn
	s.mu.Lock()
	for _, c := range s.conns {
		if c.busy == 0 {
			_ = c.Close()
		}
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, endingMost)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(s.guard.gate.patience / 4):
				s.guard.gate.cutStalled()
			}
		}
	}()
	err := s.server.Shutdown(ctx)
	close(ended)
	if err != nil {
		err = errors.Join(fmt.Errorf("debug endpoint: requests were cut off: %w", err), s.server.Close())
	}
	<-s.done
	return err
}
