package recordings

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/firsttouch/firsttouch/internal/endpoint"
)

// answerBudget bounds the wait for an agent's first byte, beyond the seconds of a window.
const answerBudget = 20 * time.Second

// headerMost and bodyMost bound an answer. A recording of an agent has some 20 bytes for each first touch.
const (
	headerMost = 64 << 10
	bodyMost   = 1 << 30
)

// quietMost is how long an answer that has begun may pause.
const quietMost = 30 * time.Second

// limited ends an answer that does not end.
type limited struct {
	io.ReadCloser
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the answer has more than %d bytes", int64(bodyMost))
	}
	n, err := l.ReadCloser.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	return n, err
}

// alive closes an answer that pauses for too long.
func alive(body io.ReadCloser) io.ReadCloser {
	w := &watched{ReadCloser: body}
	w.timer = time.AfterFunc(quietMost, func() {
		w.stalled.Store(true)
		_ = body.Close() // which ends the Read
	})
	return w
}

type watched struct {
	io.ReadCloser
	timer   *time.Timer
	stalled atomic.Bool
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	if w.stalled.Load() {
		return n, fmt.Errorf("the answer paused for %v", quietMost)
	}
	w.timer.Reset(quietMost)
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	return w.ReadCloser.Close()
}

// errorText bounds what of an answer that is no recording is shown.
const errorText = 300

// Fetch asks a live agent for what is at a path below its handler.
func Fetch(ctx context.Context, name, path string) (io.ReadCloser, error) {
	return ask(ctx, http.MethodGet, name, path)
}

// Post is Fetch for what changes the agent.
func Post(ctx context.Context, name, path string) (io.ReadCloser, error) {
	return ask(ctx, http.MethodPost, name, path)
}

func ask(ctx context.Context, method, name, path string) (io.ReadCloser, error) {
	if !strings.Contains(name, "://") && !isAddress(name) {
		return nil, fmt.Errorf("%w: %q is not the address of a live agent: write host:port, :port or a URL", ErrUsage, name)
	}
	u, err := agentURL(name)
	if err != nil {
		return nil, err
	}
	path, query, _ := strings.Cut(path, "?")
	u = u.JoinPath(path)
	u.RawQuery = query
	return fetch(ctx, method, u, 0)
}

// fetch waits for the answer, for the seconds of a window longer than else.
func fetch(ctx context.Context, method string, u *url.URL, seconds int) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if token := os.Getenv(endpoint.TokenVariable); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Duration(seconds)*time.Second + answerBudget
	transport.DisableKeepAlives = true
	// What comes is what counts, see package recording: nothing unpacks it on the way.
	transport.DisableCompression = true
	transport.MaxResponseHeaderBytes = headerMost
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, fmt.Errorf("no agent answers at %s: %w: start the service with FIRSTTOUCH_DEBUG_ADDR, or mount the agent's Handler", u, err)
	}
	return answer(resp, u)
}

// answer is the body of what an agent answered, or the error that it tells.
func answer(resp *http.Response, u *url.URL) (io.ReadCloser, error) {
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusAccepted {
		if how := resp.Header.Get("Content-Encoding"); how != "" && how != "identity" {
			return nil, errors.Join(fmt.Errorf("%s: the answer is packed (%q), which was not asked for", u, how), resp.Body.Close())
		}
		return &limited{alive(resp.Body), bodyMost}, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, errorText))
	err = errors.Join(err, resp.Body.Close())
	if resp.StatusCode == http.StatusNotFound {
		return nil, errors.Join(fmt.Errorf("%s: there is no agent of firsttouch: give the URL that its Handler is mounted at", u), err)
	}
	return nil, errors.Join(fmt.Errorf("%s: %s: %s", u, resp.Status, strings.TrimSpace(string(text))), err)
}
