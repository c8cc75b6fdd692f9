package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/firsttouch/firsttouch/dashboards"
)

// checkLinks follows the links that Jaeger gives to a span, those to the service, with a trace that it has.
func checkLinks(ctx context.Context, r *results, d *demoRun, spans map[string]*jaegerSpan) error {
	var ui struct {
		LinkPatterns []struct{ Type, Key, URL string }
	}
	text, err := fs.ReadFile(dashboards.Files, "jaeger/ui.json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &ui); err != nil {
		return err
	}
	page, err := url.Parse(d.page)
	if err != nil {
		return err
	}
	n := 0
	var bad []string
	for _, l := range ui.LinkPatterns {
		for _, s := range spans {
			if s.tag(l.Key) == nil || !strings.Contains(l.URL, page.Path) {
				continue
			}
			n++
			link, err := url.Parse(strings.ReplaceAll(l.URL, "#{trace.traceID}", s.TraceID))
			if err != nil {
				return err
			}
			link.Host = page.Host
			if strings.Contains(link.String(), "#{") || !strings.Contains(link.Fragment, s.TraceID) {
				bad = append(bad, fmt.Sprintf("%s does not name the trace", link))
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, link.String(), nil)
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				bad = append(bad, fmt.Sprintf("%s: %s", link, resp.Status))
			}
			break // one span of a kind will do
		}
	}
	r.check("Jaeger's links to the service", n, bad, "links")
	return nil
}
