package load_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/firsttouch/firsttouch/internal/demo/load"
)

func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("identifier%d", i)
	}
	return list
}

func plan(t *testing.T, seed uint64, n int) []string {
	t.Helper()
	paths, err := load.Plan(names(5000), seed, n)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestPlanIsDeterministic(t *testing.T) {
	a := plan(t, 7, 1000)
	if !slices.Equal(a, plan(t, 7, 1000)) {
		t.Error("the same seed gave two plans")
	}
	if slices.Equal(a, plan(t, 8, 1000)) {
		t.Error("two seeds gave one plan")
	}
	if !slices.Equal(a[:100], plan(t, 7, 100)) {
		t.Error("a shorter plan is not the start of a longer one")
	}
	// Held here so that a change of the generator, which would change every published figure, is seen.
	want := []string{"/identifiers/identifier1383", "/identifiers/identifier3", "/prefix/ident"}
	if got := plan(t, 1, 3); !slices.Equal(got, want) {
		t.Errorf("plan of seed 1: %q, want %q", got, want)
	}
}

func TestPlanShape(t *testing.T) {
	kinds, counts := map[string]int{}, map[string]int{}
	for _, p := range plan(t, 1, 10000) {
		parts := strings.Split(p, "/")
		kinds[parts[1]]++
		if parts[1] == "identifiers" {
			counts[parts[2]]++
		}
	}
	for kind, want := range map[string]int{"identifiers": 6000, "prefix": 2000, "together": 2000} {
		if got := kinds[kind]; got < want-300 || got > want+300 {
			t.Errorf("%d requests of kind %s, want about %d", got, kind, want)
		}
	}
	if first, last := counts["identifier0"], counts["identifier4000"]; first < 50 || last > first/10 {
		t.Errorf("the first name is asked for %d times, the 4000th %d times: not skewed", first, last)
	}
	if len(counts) < 1000 {
		t.Errorf("%d names asked for: no tail", len(counts))
	}
}

func TestPlanOfNothing(t *testing.T) {
	if _, err := load.Plan(nil, 1, 10); err == nil {
		t.Error("an empty index made a plan")
	}
}

func TestDrive(t *testing.T) {
	var calls atomic.Int64
	var answer atomic.Value
	answer.Store("same")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if r.URL.Path == "/identifiers/bad" {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, answer.Load().(string)+r.URL.Path)
	}))
	defer srv.Close()
	paths := plan(t, 3, 200)
	ctx := context.Background()
	var last atomic.Int64
	one, err := load.Drive(ctx, srv.URL, paths, 1, func(done int) { last.Store(int64(done)) })
	if err != nil || one.Failures != 0 || one.Requests != 200 || calls.Load() != 200 || last.Load() != 200 {
		t.Fatalf("got %+v, %v, %d calls, progress %d", one, err, calls.Load(), last.Load())
	}
	four, err := load.Drive(ctx, srv.URL, paths, 4, nil)
	if err != nil || four.Digest != one.Digest {
		t.Errorf("four clients: digest %x, %v, want %x", four.Digest, err, one.Digest)
	}
	answer.Store("other")
	if other, err := load.Drive(ctx, srv.URL, paths, 4, nil); err != nil || other.Digest == one.Digest {
		t.Errorf("other answers: %v, the same digest", err)
	}
	failed, err := load.Drive(ctx, srv.URL, []string{"/identifiers/good", "/identifiers/bad"}, 2, nil)
	if err != nil || failed.Failures != 1 || !strings.Contains(failed.First, "/identifiers/bad: the service answered 500") {
		t.Errorf("one failure: %+v, %v", failed, err)
	}
}

func TestDriveEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }))
	defer srv.Close()
	if _, err := load.Drive(ctx, srv.URL, plan(t, 1, 1000), 2, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
