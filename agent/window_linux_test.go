package agent

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/uffd"
	"github.com/google/pprof/profile"
)

// TestWindow touches in a window what had been touched before: the file shows it again, and so does the
// arena where the kernel can arm it again.
func TestWindow(t *testing.T) {
	path, file := database(t, 32)
	a := start(t, WithFiles(path))
	page := uffd.PageSize()
	arena, err := a.Arena("cache", 4*page)
	if err != nil {
		t.Fatal(err)
	}
	defer arena.Close()
	mem := arena.Bytes()
	if _, err := a.Profiler().NewArena("unknown to the agent", page); err != nil {
		t.Fatal(err)
	}
	touch := func() {
		for i := range 10 {
			touchPage(file, i)
		}
	}
	touch()
	mem[0] = 1

	type answer struct {
		p *profile.Profile
		h http.Header
	}
	answers := make(chan answer, 1)
	go func() {
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/debug/firsttouch/profile?seconds=2", nil))
		p, _ := profile.Parse(w.Body)
		answers <- answer{p, w.Header()}
	}()
	eventually(t, "the window begins", func() bool { return a.Profiler().Snapshot().Region(path).Rearms == 1 })
	if code, body := serve(t, a, "/debug/firsttouch/address?seconds=1"); code != http.StatusConflict {
		t.Errorf("a second window at the same time: %d %s, want 409", code, body)
	}
	touch()
	mem[0], mem[page] = 2, 2

	got := <-answers
	if got.p == nil {
		t.Fatalf("no profile, header %v", got.h)
	}
	// Before Linux 6.8 an arena cannot be armed again, and shows only what had never been touched.
	want, limited := 12, 1
	if err := uffd.HaveIoctl(uffd.IoctlMove); err != nil {
		t.Log(err)
		want, limited = 11, 2
	}
	if n := total(t, got.p, "faults"); n != int64(want) {
		t.Errorf("%d faults in the window, want 10 of the file and %d of the arena", n, want-10)
	}
	limits := got.h.Values("Firsttouch-Limit")
	if len(limits) != limited || !strings.Contains(limits[limited-1], "unknown to the agent") {
		t.Errorf("limits %q, want %d, one of them of the unknown arena", limits, limited)
	}
	if comments := strings.Join(got.p.Comments, "\n"); !strings.Contains(comments, `region "unknown to the agent" was not armed again`) {
		t.Errorf("comments lack the arena:\n%s", comments)
	}
}

func TestWindowEndsEarly(t *testing.T) {
	a := start(t)
	done := make(chan int, 1)
	record := func(ctx context.Context) {
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/debug/firsttouch/profile?seconds=300", nil))
		done <- w.Code
	}
	ctx, leave := context.WithCancel(t.Context())
	go record(ctx)
	eventually(t, "a window begins", func() bool { return len(a.window) == 1 })
	leave()
	<-done
	if len(a.window) != 0 {
		t.Error("the client left and its window goes on")
	}

	go record(t.Context())
	eventually(t, "a window begins", func() bool { return len(a.window) == 1 })
	if err := a.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if code := <-done; code != http.StatusServiceUnavailable {
		t.Errorf("shutdown during a window: %d, want 503", code)
	}
}

func TestWindowRespectsTheServer(t *testing.T) {
	a := start(t)
	for name, tt := range map[string]struct {
		around func(http.Handler) http.Handler
		want   int
		text   string
	}{
		"what can be prolonged is": {func(h http.Handler) http.Handler { return h }, 200, ""},
		"what cannot is refused at once": {func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(struct{ http.ResponseWriter }{w}, r) })
		}, 400, "WriteTimeout is 1s"},
	} {
		srv := httptest.NewUnstartedServer(tt.around(a.Handler()))
		srv.Config.WriteTimeout = time.Second
		srv.Start()
		if code, body := get(t, srv.URL+"/debug/firsttouch/profile?seconds=1"); code != tt.want || !strings.Contains(body, tt.text) {
			t.Errorf("%s: %d %.200q", name, code, body)
		}
		srv.Close()
	}
}
