package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"github.com/firsttouch/firsttouch/uffd"
)

// TestCache stores and reads a few values of a large cache: it works alike with the profiler and
// without, and the profiler sees how little of it was needed.
func TestCache(t *testing.T) {
	for name, opts := range map[string][]agent.Option{"profiled": {agent.WithFailingSystemCalls()}, "plain": {agent.Disabled()}} {
		t.Run(name, func(t *testing.T) {
			a, err := agent.Start(t.Context(), opts...)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := a.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			url := start(t, a)
			for _, slot := range []string{"0", "700"} {
				if code, _ := ask(t, "PUT", url+slot, "value of "+slot); code != http.StatusNoContent {
					t.Errorf("PUT %s: %d", slot, code)
				}
				if code, body := ask(t, "GET", url+slot, ""); code != 200 || body != "value of "+slot {
					t.Errorf("GET %s: %d %q", slot, code, body)
				}
			}
			for slot, want := range map[string]int{"1": 404, "1000": 404, "-1": 404, "x": 404} {
				if code, _ := ask(t, "GET", url+slot, ""); code != want {
					t.Errorf("GET %s: %d, want %d", slot, code, want)
				}
			}
			if code, _ := ask(t, "PUT", url+"2", strings.Repeat("x", slotSize)); code != http.StatusRequestEntityTooLarge {
				t.Errorf("PUT of too much: %d", code)
			}
			if name == "plain" {
				return
			}
			uffdtest.Need(t)
			if a.Reason() != "" {
				t.Fatalf("not profiled: %s", a.Reason())
			}
			pages := make(map[int]bool)
			for _, slot := range []int{0, 1, 700} {
				pages[slot*slotSize/uffd.PageSize()] = true
			}
			if r := a.Profiler().Snapshot().Region("cache"); r == nil || r.Faults != uint64(len(pages)) {
				t.Errorf("region %+v, want the pages of slots 0, 1 and 700 touched and no others", r)
			}
		})
	}
}

// start serves a cache of 1000 values until the test ends.
func start(t *testing.T, a *agent.Agent) (url string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() { ended <- run(ctx, a, "127.0.0.1:0", 1000, func(a net.Addr) { ready <- a }) }()
	select {
	case addr := <-ready:
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return "http://" + addr.String() + "/cache/"
	case err := <-ended:
		cancel()
		t.Fatal(err)
	}
	return ""
}

func ask(t *testing.T, method, url, body string) (code int, answer string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
