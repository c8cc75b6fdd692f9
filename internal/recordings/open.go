package recordings

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/firsttouch/firsttouch/exporter/recording"
)

// Opened is a recording, and what has to be known of how it came.
type Opened struct {
	*recording.Recording
	Name string // as the user gave it
	// Cut says in a sentence why only a part could be read, or is empty.
	Cut string
}

// Options of Open.
type Options struct {
	Stdin    io.Reader
	Seconds  int                     // of a live agent: 0 for all since its start, or what is touched in so many seconds from now
	Progress func(done, total int64) // or nil; total is -1 where it is not known
}

// ErrUsage marks what the user has to write in another way.
var ErrUsage = errors.New("unusable option or argument")

// Open reads a recording. "-" is the standard input. A name that is no file and looks like an address is one: a
// URL, host:port, or :port for this machine.
//
// It returns when ctx ends, whatever it is waiting for: what it opened then may stay open until that comes.
func Open(ctx context.Context, name string, o Options) (*Opened, error) {
	type result struct {
		*Opened
		error
	}
	done := make(chan result, 1)
	go func() {
		opened, err := open(ctx, name, o)
		done <- result{opened, err}
	}()
	select {
	case r := <-done:
		return r.Opened, r.error
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func open(ctx context.Context, name string, o Options) (*Opened, error) {
	r, total, err := source(ctx, name, o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	rec, err := recording.Read(&counter{ctx: ctx, r: r, total: total, report: o.Progress})
	opened := &Opened{Recording: rec, Name: name}
	switch {
	case err == nil:
		return opened, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, recording.ErrNotRecording):
		return nil, fmt.Errorf("%s: %w: name a file that an agent or firsttouch demo wrote, or the address of a live agent", name, recording.ErrNotRecording)
	case errors.Is(err, recording.ErrNewer):
		return nil, fmt.Errorf("%s: %w: update the command: go install github.com/firsttouch/firsttouch/cmd/firsttouch@latest", name, err)
	case rec == nil || rec.Snapshot == nil || rec.Origin.Writer == "":
		return nil, fmt.Errorf("%s: %w: nothing of it can be used", name, err)
	}
	opened.Cut = fmt.Sprintf("%s: %v: what follows is of the part before that, with %d of %d first touches", name, err,
		len(rec.Snapshot.Faults), rec.Snapshot.Stats.Records-rec.Snapshot.Stats.LogCut)
	// Every output shows the notes of the profiler, and so this one.
	s := *rec.Snapshot
	s.Stats.Notes = append(slices.Clone(s.Stats.Notes), opened.Cut)
	rec.Snapshot = &s
	return opened, nil
}

func source(ctx context.Context, name string, o Options) (r io.ReadCloser, total int64, err error) {
	if name == "-" {
		return io.NopCloser(o.Stdin), -1, recorded(name, o)
	}
	if !strings.Contains(name, "://") {
		f, err := os.Open(name)
		if err == nil {
			if err := recorded(name, o); err != nil {
				return nil, 0, errors.Join(err, f.Close())
			}
			total := int64(-1)
			if st, err := f.Stat(); err == nil {
				if st.IsDir() {
					return nil, 0, errors.Join(fmt.Errorf("%s is a directory: name a recording in it", name), f.Close())
				}
				total = st.Size()
			}
			return f, total, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || !isAddress(name) {
			return nil, 0, fmt.Errorf("%w: name a recording (a file), or a live agent as host:port, :port or a URL", err)
		}
	}
	u, err := agentURL(name)
	if err != nil {
		return nil, 0, err
	}
	u = u.JoinPath("recording")
	if o.Seconds > 0 {
		u.RawQuery = url.Values{"seconds": {strconv.Itoa(o.Seconds)}}.Encode()
	}
	r, err = fetch(ctx, http.MethodGet, u, o.Seconds)
	return r, -1, err
}

// recorded refuses a window of what was recorded already.
func recorded(name string, o Options) error {
	if o.Seconds == 0 {
		return nil
	}
	return fmt.Errorf("%w: -seconds %d: %s is a recording, and only a live agent can record the next seconds: leave -seconds out", ErrUsage, o.Seconds, name)
}

// isAddress reports whether a name could be host:port.
func isAddress(name string) bool {
	_, port, err := net.SplitHostPort(name)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// agentPath is where an agent's handler is, unless a URL says otherwise.
const agentPath = "/debug/firsttouch/"

// agentURL is where the handler of an agent is.
func agentURL(name string) (*url.URL, error) {
	if !strings.Contains(name, "://") {
		if strings.HasPrefix(name, ":") {
			name = "127.0.0.1" + name
		}
		name = "http://" + name
	}
	u, err := url.Parse(name)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%w: %q: write http://host:port", ErrUsage, name)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = agentPath
	}
	u.RawQuery, u.Fragment = "", ""
	return u, nil
}

// counter reports what was read, and ends with ctx.
type counter struct {
	ctx    context.Context
	r      io.Reader
	done   int64
	total  int64
	report func(done, total int64)
}

func (c *counter) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(b)
	c.done += int64(n)
	if c.report != nil {
		c.report(c.done, c.total)
	}
	return n, err
}
