package agent

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Advice is given only where the agent allows it, once it is confirmed, and not for pages of other sites.
func TestAdvice(t *testing.T) {
	post := func(a *Agent, form url.Values, with ...string) (int, string) {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, basePath+"advise", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i+1 < len(with); i += 2 {
			r.Header.Set(with[i], with[i+1])
		}
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	form := func(pairs ...string) url.Values {
		v := url.Values{"region": {"cache"}, "advice": {"cold"}, "confirm": {"true"}}
		for i := 0; i+1 < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	page := func(a *Agent) (text, policy string) {
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, basePath, nil))
		return w.Body.String(), w.Header().Get("Content-Security-Policy")
	}

	plain := start(t)
	if m, err := plain.Arena("armed", 1<<20); err != nil {
		t.Fatal(err)
	} else if code, text := ask(t, plain.Handler(), basePath+"engine", nil); m == nil || code != 200 || !strings.Contains(text, "ranges armed: 0x?-0x?") {
		t.Errorf("the dump: %d %s", code, text)
	}
	if code, text := post(plain, form()); code != http.StatusForbidden || !strings.Contains(text, "FIRSTTOUCH_ADVICE=true") {
		t.Errorf("without WithAdvice: %d %s", code, text)
	}
	if text, policy := page(plain); strings.Contains(text, "<form") || !strings.Contains(policy, "form-action 'none'") {
		t.Errorf("without WithAdvice: a form, or %s", policy)
	}
	if err := plain.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := start(t, WithAdvice())
	mem, err := a.Arena("dir/cache", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	mem.Bytes()[0] = 1
	for _, c := range []struct {
		form url.Values
		with []string
		code int
		text string
	}{
		{form("confirm", ""), nil, 400, "confirm=true"},
		{form("region", "other"), nil, 400, "choose one of: dir/cache"},
		{form("region", ""), nil, 400, "choose one of: dir/cache"},
		{form("advice", "fast"), nil, 400, "choose one of cold"},
		{form("advice", "willneed"), nil, 400, "not read ahead"},
		{form("from", "x"), nil, 400, "from=\"x\""},
		{form("from", "8", "to", "4"), nil, 400, "an end behind it"},
		{form(), []string{"Sec-Fetch-Site", "cross-site"}, 403, "another site"},
		{form(), []string{"Origin", "https://elsewhere.example"}, 403, "another site"},
		{form("region", strings.Repeat("x", advisedMost)), nil, 400, "too large"},
	} {
		if code, text := post(a, c.form, c.with...); code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%v %q: %d %.200s, want %d %s", c.form, c.with, code, text, c.code, c.text)
		}
	}
	for _, n := range a.Notes() {
		if strings.Contains(n, "madvise") {
			t.Errorf("what was refused left a note: %s", n)
		}
	}
	code, text := post(a, form("from", "4KiB", "to", "64KiB"))
	if want := "madvise(cold) was given for 60.0 KiB of dir/cache"; code != 200 || !strings.Contains(text, want) || !strings.Contains(strings.Join(a.Notes(), "\n"), want) {
		t.Errorf("%d %s, notes %q", code, text, a.Notes())
	}
	if text, policy := page(a); !strings.Contains(text, "<form") || !strings.Contains(text, "<option>dir/cache</option>") || !strings.Contains(policy, "form-action 'self'") {
		t.Errorf("no form of the region, or %s", policy)
	}
	if err := a.SwitchOff(t.Context(), "to try"); err != nil {
		t.Fatal(err)
	}
	if code, text := post(a, form()); code != http.StatusServiceUnavailable || !strings.Contains(text, "taken off") {
		t.Errorf("taken off: %d %s", code, text)
	}
}
