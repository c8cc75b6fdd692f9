package agent

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/profiler"
)

func TestDisabled(t *testing.T) {
	for _, opts := range [][]Option{{Disabled()}, {Disabled(), Required()}} {
		a, err := Start(t.Context(), opts...)
		if err != nil || !strings.Contains(a.Reason(), "switched off") {
			t.Fatalf("error %v, reason %q", err, a.Reason())
		}
		checkIdle(t, a)
	}
}

// checkIdle holds an agent that does nothing to its promise: everything still works.
func checkIdle(t *testing.T, a *Agent) {
	t.Helper()
	if a.Profiler() != nil {
		t.Error("it has a profiler")
	}
	arena, err := a.Arena("cache", 10_000)
	if err != nil {
		t.Fatal(err)
	}
	mem := arena.Bytes()
	if len(mem) != 10_000 || arena.Region() != nil {
		t.Errorf("%d bytes, region %v", len(mem), arena.Region())
	}
	mem[9_999] = 1
	if err := errors.Join(arena.Close(), arena.Close()); err != nil {
		t.Error(err)
	}
	for _, size := range []int{0, -1} {
		if _, err := a.Arena("cache", size); !errors.Is(err, profiler.ErrInvalid) {
			t.Errorf("arena of %d bytes: %v, want ErrInvalid", size, err)
		}
	}
	if _, err := a.AttachFile("/x"); !errors.Is(err, profiler.ErrNotSupported) || !strings.Contains(fmt.Sprint(err), a.Reason()) {
		t.Errorf("AttachFile: %v, want ErrNotSupported with the reason", err)
	}
	if p := a.SpanProcessor(idleProcessor{}); p != (idleProcessor{}) {
		t.Errorf("SpanProcessor put %T in front", p)
	}
	if code, body := serve(t, a, "/debug/firsttouch/profile"); code != 503 || !strings.Contains(body, a.Reason()) {
		t.Errorf("profile: %d %s", code, body)
	}
	if code, body := serve(t, a, "/debug/firsttouch/"); code != 200 || !strings.Contains(body, "not profiled") {
		t.Errorf("page: %d %s", code, body)
	}
	if code, body := serve(t, a, "/debug/firsttouch/snapshot"); code != 200 || !strings.Contains(body, `"active":false`) {
		t.Errorf("snapshot: %d %s", code, body)
	}
	if err := a.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
