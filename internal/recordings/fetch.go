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
	"time"
)

// answerBudget bounds the wait for an agent's first byte, beyond the seconds of a window.
const answerBudget = 20 * time.Second

// errorText bounds what of an answer that is no recording is shown.
const errorText = 300

// Fetch asks a live agent for what is at a path below its handler.
func Fetch(ctx context.Context, name, path string) (io.ReadCloser, error) {
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
	return fetch(ctx, u, 0)
}

// fetch waits for the answer, for the seconds of a window longer than else.
func fetch(ctx context.Context, u *url.URL, seconds int) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if token := os.Getenv("FIRSTTOUCH_TOKEN"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Duration(seconds)*time.Second + answerBudget
	transport.DisableKeepAlives = true
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
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, errorText))
	err = errors.Join(err, resp.Body.Close())
	if resp.StatusCode == http.StatusNotFound {
		return nil, errors.Join(fmt.Errorf("%s: there is no agent of firsttouch: give the URL that its Handler is mounted at", u), err)
	}
	return nil, errors.Join(fmt.Errorf("%s: %s: %s", u, resp.Status, strings.TrimSpace(string(text))), err)
}
