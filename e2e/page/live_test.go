package page

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/profiler"
)

// On a live process the page follows, until it is paused.
func TestLiveProcess(t *testing.T) {
	a, err := agent.Start(t.Context(), agent.Required(), agent.WithStacks(profiler.StacksEvery()))
	if errors.Is(err, profiler.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := a.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}()
	cache, err := a.Profiler().NewArena("cache", 100*os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	touched := 0
	touch := func(n int) {
		for range n {
			cache.Bytes()[touched*os.Getpagesize()] = 1
			touched++
		}
	}
	touch(10)
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	ctx := open(t, server.URL+"/debug/firsttouch/live")
	defer run(t, ctx, chromedp.Navigate("about:blank")) // before the server ends
	if n := number(t, tiles(t, ctx, "tiles")["First touches"]); n != 10 {
		t.Errorf("%d first touches, want 10", n)
	}
	touch(7)
	until(t, ctx, "firsttouch.r.stats.faults === 17")
	run(t, ctx, chromedp.Click("#pause"))
	looks := eval[int](t, ctx, "performance.getEntriesByName(location.origin + '/debug/firsttouch/recording').length")
	touch(5)
	time.Sleep(3 * time.Second) // longer than between two looks
	if n := eval[int](t, ctx, "firsttouch.r.stats.faults"); n != 17 {
		t.Errorf("%d first touches while paused, want 17", n)
	}
	if n := eval[int](t, ctx, "performance.getEntriesByName(location.origin + '/debug/firsttouch/recording').length"); n > looks+1 {
		t.Errorf("%d looks while paused", n-looks)
	}
	run(t, ctx, chromedp.Click("#pause"))
	until(t, ctx, "firsttouch.r.stats.faults === 22")
	if text := eval[string](t, ctx, "document.querySelector('#about').textContent"); text == "" || eval[bool](t, ctx, "document.querySelector('#pause').hidden") {
		t.Errorf("the head says %q", text)
	}
}
