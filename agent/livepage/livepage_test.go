package livepage

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// The page is one file: it names nothing of another origin, and its policy lets it ask its own only.
func TestPageStandsAlone(t *testing.T) {
	w := httptest.NewRecorder()
	Serve(w, nil)
	body := w.Body.String()
	if m := regexp.MustCompile(`(?i)<link[^>]+(src|href)="(?:[a-z]+:)?//|<script[^>]+src|@import|url\(["']?(?:[a-z]+:)?//`).FindString(body); m != "" {
		t.Errorf("the page holds %q", m)
	}
	if strings.Count(body, "<script") != 1 || strings.Count(body, "</script>") != 1 || strings.Contains(body, "/*SCRIPT*/") {
		t.Error("the page is not as build.mjs makes it: run npm ci && npm run build in agent/livepage")
	}
	if p := w.Header().Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'; script-src 'sha256-") || strings.Contains(p, "unsafe-eval") {
		t.Errorf("policy %q", p)
	}
}
