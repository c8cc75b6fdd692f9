package page

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/profiler"
)

// On a live process the page follows, until it is paused.
func TestLiveProcess(t *testing.T) {
	a, err := agent.Start(t.Context(), agent.Required(), agent.WithFailingSystemCalls(), agent.WithStacks(profiler.StacksEvery()))
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
	const looksSoFar = "performance.getEntriesByType('resource').filter(e => e.name.includes('/debug/firsttouch/recording')).length"
	looks := eval[int](t, ctx, looksSoFar)
	if fresh := eval[int](t, ctx, "firsttouch.r.store.length"); fresh != 17 {
		t.Errorf("the page holds %d first touches, want each of 17 once", fresh)
	}
	if all := eval[bool](t, ctx, "performance.getEntriesByType('resource').filter(e => e.name.includes('/debug/firsttouch/recording')).slice(1).every(e => e.name.includes('after='))"); !all {
		t.Error("a later look asked for everything")
	}
	touch(5)
	time.Sleep(3 * time.Second) // longer than between two looks
	if n := eval[int](t, ctx, "firsttouch.r.stats.faults"); n != 17 {
		t.Errorf("%d first touches while paused, want 17", n)
	}
	if n := eval[int](t, ctx, looksSoFar); n > looks+1 {
		t.Errorf("%d looks while paused", n-looks)
	}
	run(t, ctx, chromedp.Click("#pause"))
	until(t, ctx, "firsttouch.r.stats.faults === 22")
	if got := eval[[]int](t, ctx, "[firsttouch.r.faults.length, firsttouch.timing.fresh, ...firsttouch.r.faults.offset.map(o => o / firsttouch.r.regions[0].granule)]"); !slices.Equal(got[2:], ints(22)) || got[0] != 22 || got[1] > 5 {
		t.Errorf("the page holds %v", got)
	}
	if text := eval[string](t, ctx, "document.querySelector('#about').textContent"); text == "" || eval[bool](t, ctx, "document.querySelector('#pause').hidden") {
		t.Errorf("the head says %q", text)
	}
}

// ints are 0 to n-1.
func ints(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

// What the windows showed and what happened are on tabs of their own, as the agent says it.
func TestWindowsAndEvents(t *testing.T) {
	a, err := agent.Start(t.Context(), agent.Required(), agent.WithFailingSystemCalls(), agent.WithWindows(200*time.Millisecond), agent.WithTraceURL("http://traces.example/{trace}"))
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
	path := filepath.Join(t.TempDir(), "data.db")
	if err := os.WriteFile(path, make([]byte, 64*os.Getpagesize()), 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := a.Profiler().MapFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := a.Arena("cache", 100*os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	ctx := open(t, server.URL+"/debug/firsttouch/live#tab=windows&region="+strconv.Itoa(int(cache.Region().ID())))
	defer run(t, ctx, chromedp.Navigate("about:blank")) // before the server ends
	until(t, ctx, "firsttouch.r.windows.length >= 3")
	run(t, ctx, chromedp.Click("#pause"))
	type window struct{ Region, Start, Touched int64 }
	shown := eval[[]window](t, ctx, "firsttouch.r.windows")
	for _, ws := range a.WorkingSets() {
		for _, w := range shown {
			i := slices.IndexFunc(ws.Windows, func(x profiler.RegionWindow) bool { return int64(x.Start) == w.Start })
			if w.Region != int64(ws.Region) || i < 0 || ws.Windows[i].Err == nil && ws.Windows[i].Touched != w.Touched {
				t.Errorf("the page has %+v, the agent not", w)
			}
		}
	}
	if n := eval[int](t, ctx, "document.querySelectorAll('#windows tbody tr').length"); n != len(shown) {
		t.Errorf("%d windows are listed, of %d", n, len(shown))
	}
	if n := eval[int](t, ctx, "document.querySelectorAll('#windows-chart .again, #windows-chart .unknown').length"); n != len(shown) {
		t.Errorf("%d windows are drawn, of %d", n, len(shown))
	}
	run(t, ctx, chromedp.Click("#tab-events"))
	text := eval[string](t, ctx, "document.querySelector('#panel').textContent")
	for _, want := range []string{"observed", "armed again", "cache", "data.db"} {
		if !strings.Contains(text, want) {
			t.Errorf("the events do not tell of %q: %s", want, text)
		}
	}
	// Of a region that is not armed again the tab says why it is empty.
	run(t, ctx, chromedp.Click(fmt.Sprintf("#regions tbody tr:nth-child(%d) button", file.ID()+1)), chromedp.Click("#tab-windows"))
	if text := eval[string](t, ctx, "document.querySelector('#panel').textContent"); !strings.Contains(text, "FIRSTTOUCH_WINDOWS") {
		t.Errorf("without windows the tab says %q", text)
	}
	// Every control is reached with the keyboard.
	if n := eval[int](t, ctx, "[...document.querySelectorAll('button, a, summary, #map, [role=tab][aria-selected=true]')].filter(e => e.tabIndex < 0 && e.getAttribute('role') !== 'tab').length"); n != 0 {
		t.Errorf("%d controls cannot be reached with the keyboard", n)
	}
}

// What can fail in the service because of the profiler stands first, and once.
func TestLivePageSaysWhatCanFail(t *testing.T) {
	a, err := agent.Start(t.Context(), agent.Required(), agent.WithDelivery(profiler.DeliverySignal))
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
	cache, err := a.Profiler().NewArena("cache", os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	cache.Bytes()[0] = 1
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	ctx := open(t, server.URL+"/debug/firsttouch/live")
	defer run(t, ctx, chromedp.Navigate("about:blank")) // before the server ends
	const text = "System calls of this service can fail"
	if got := eval[string](t, ctx, "document.getElementById('failing').innerText"); !strings.HasPrefix(got, text) || !strings.Contains(got, "EFAULT") {
		t.Errorf("it says %q", got)
	}
	page := eval[string](t, ctx, "document.body.innerText")
	if n := strings.Count(strings.ToLower(page), strings.ToLower(text)); n != 1 || strings.Index(page, text) > strings.Index(page, "Touched of mapped") {
		t.Errorf("it is said %d times, or not first:\n%s", n, page)
	}
}
