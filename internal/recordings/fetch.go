package recordings

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// answerBudget bounds the wait for an agent's first byte, beyond the seconds of a window.
const answerBudget = 20 * time.Second

// errorText bounds what of an answer that is no recording is shown.
const errorText = 300

// fetch asks an agent.
func fetch(ctx context.Context, u *url.URL, seconds int) (io.ReadCloser, error) {
	if seconds > 0 {
		u.RawQuery = url.Values{"seconds": {strconv.Itoa(seconds)}}.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
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
