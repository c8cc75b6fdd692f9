package agent

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

func TestVariablesAndOptions(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		environ []string
		opts    []Option
		check   func(c config) bool
	}{
		{"default files", nil, nil, func(c config) bool { return c.files == nil }},
		{"default arenas", nil, nil, func(c config) bool { return c.wantsArena("a/b c") }},
		{"default address", nil, nil, func(c config) bool { return c.debugAddr == "" }},
		{"default rescan", nil, nil, func(c config) bool { return c.rescan == 100*time.Millisecond }},
		{"files", []string{"FIRSTTOUCH_FILES=/a/*.db:/b"}, nil,
			func(c config) bool { return slices.Equal(c.files, []string{"/a/*.db", "/b"}) }},
		{"relative file", []string{"FIRSTTOUCH_FILES=x.db"}, nil,
			func(c config) bool { return slices.Equal(c.files, []string{filepath.Join(wd, "x.db")}) }},
		{"empty is unset", []string{"FIRSTTOUCH_GRANULE=", "FIRSTTOUCH_REQUIRED="}, nil, func(c config) bool { return !c.required }},
		{"option before variable", []string{"FIRSTTOUCH_FILES=/a"}, []Option{WithFiles("/b")},
			func(c config) bool { return slices.Equal(c.files, []string{"/b"}) }},
		{"later option", nil, []Option{WithFiles("/b"), WithFiles("/c")},
			func(c config) bool { return slices.Equal(c.files, []string{"/c"}) }},
		{"rescan", nil, []Option{WithRescan(2 * time.Second)}, func(c config) bool { return c.rescan == 2*time.Second }},
		{"the Go heap by share", []string{"FIRSTTOUCH_GOHEAP=1/16"}, nil, func(c config) bool { return c.goHeap == 1.0/16 }},
		{"all of the Go heap", []string{"FIRSTTOUCH_GOHEAP=1/16"}, []Option{WithGoHeap(1)}, func(c config) bool { return c.goHeap == 1 }},
		{"none of the Go heap", []string{"FIRSTTOUCH_GOHEAP=false"}, nil, func(c config) bool { return c.goHeap == 0 }},
		{"arenas by pattern", []string{"FIRSTTOUCH_ARENAS=index-*"}, nil,
			func(c config) bool { return c.wantsArena("index-1") && !c.wantsArena("cache") }},
		{"no arenas", []string{"FIRSTTOUCH_ARENAS=*"}, []Option{WithArenas()}, func(c config) bool { return !c.wantsArena("x") }},
		{"port alone is loopback", []string{"FIRSTTOUCH_DEBUG_ADDR=:6070"}, nil, func(c config) bool { return c.debugAddr == "127.0.0.1:6070" }},
		{"every interface by name", []string{"FIRSTTOUCH_DEBUG_ADDR=0.0.0.0:0"}, nil, func(c config) bool { return c.debugAddr == "0.0.0.0:0" }},
		{"ipv6", []string{"FIRSTTOUCH_DEBUG_ADDR=[::1]:80"}, nil, func(c config) bool { return c.debugAddr == "[::1]:80" }},
		{"required", []string{"FIRSTTOUCH_REQUIRED=true"}, nil, func(c config) bool { return c.required }},
		{"required by option", []string{"FIRSTTOUCH_REQUIRED=0"}, []Option{Required()}, func(c config) bool { return c.required }},
		{"default windows", nil, nil, func(c config) bool { return c.windows == 0 }},
		{"windows", []string{"FIRSTTOUCH_WINDOWS=10s"}, nil, func(c config) bool { return c.windows == 10*time.Second }},
		{"no windows by option", []string{"FIRSTTOUCH_WINDOWS=10s"}, []Option{WithWindows(0)}, func(c config) bool { return c.windows == 0 }},
		{"default metrics", nil, nil, func(c config) bool { return !c.noMetrics && c.meterProvider == nil }},
		{"no metrics", nil, []Option{WithoutMetrics()}, func(c config) bool { return c.noMetrics }},
		{"prefetch", []string{"FIRSTTOUCH_PREFETCH=/etc/app.touch"}, []Option{WithPrefetchLimits(1<<20, 0.25, "/a", "/b")}, func(c config) bool {
			return c.ahead.order == "/etc/app.touch" && c.ahead.learn == "" && c.ahead.Memory == 0.25 && c.ahead.Bandwidth == 1<<20 && slices.Equal(c.ahead.Under, []string{"/a", "/b"})
		}},
		{"prefetch by learning", []string{"FIRSTTOUCH_PREFETCH=/etc/app.touch"}, []Option{WithPrefetch("learn:/var/touch")}, func(c config) bool { return c.ahead.order == "" && c.ahead.learn == "/var/touch" }},
		{"disabled", []string{"FIRSTTOUCH_DISABLED=1"}, nil, func(c config) bool { return c.disabled }},
		{"not ours", []string{"FIRSTTOUCHX=1", "OTEL_SERVICE_NAME=x"}, nil, func(c config) bool { return c.files == nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, notes, err := newConfig(tt.environ, tt.opts)
			if err != nil || len(notes) > 0 {
				t.Fatalf("error %v, notes %q", err, notes)
			}
			if !tt.check(c) {
				t.Errorf("not as wanted: %+v", c)
			}
		})
	}
}

func TestBadVariables(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"FIRSTTOUCH_FILES", "/a/[", "not a pattern"},
		{"FIRSTTOUCH_ARENAS", "[a", "not a pattern"},
		{"FIRSTTOUCH_GOHEAP", "1/0", "1/N for one block"},
		{"FIRSTTOUCH_GOHEAP", "yes", "1/N for one block"},
		{"FIRSTTOUCH_GRANULE", "12", "power of two"},
		{"FIRSTTOUCH_GRANULE", "12288", "power of two"},
		{"FIRSTTOUCH_GRANULE", "2GiB", "power of two"},
		{"FIRSTTOUCH_GRANULE", "64KB", "not a size"},
		{"FIRSTTOUCH_GRANULE", "-4096", "not a size"},
		{"FIRSTTOUCH_GRANULE", "9999999999GiB", "not a size"},
		{"FIRSTTOUCH_STACKS", "1/0", "write all, none, 1/N"},
		{"FIRSTTOUCH_STACKS", "/s", "write all, none, 1/N"},
		{"FIRSTTOUCH_STACKS", "often", "write all, none, 1/N"},
		{"FIRSTTOUCH_DEBUG_ADDR", "6070", "not host:port"},
		{"FIRSTTOUCH_DEBUG_ADDR", ":http", "not a number"},
		{"FIRSTTOUCH_DEBUG_ADDR", ":70000", "not a number"},
		{"FIRSTTOUCH_STOP_LIMIT", "0.5ms", "1ms to 10s"},
		{"FIRSTTOUCH_DELIVERY", "poll", "write auto, thread, signal or observe"},
		{"FIRSTTOUCH_WINDOWS", "1ms", "100ms or more"},
		{"FIRSTTOUCH_WINDOWS", "often", "not a duration"},
		{"FIRSTTOUCH_PREFETCH", "learn:", "learn: and a directory"},
		{"FIRSTTOUCH_RECORD_SLOW", "-1s", "above 0"},
		{"FIRSTTOUCH_REQUIRED", "yes", "true or false"},
		{"FIRSTTOUCH_DISABLED", "on", "true or false"},
	} {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			t.Setenv(tt.name, tt.value)
			a, err := Start(t.Context())
			if !errors.Is(err, profiler.ErrInvalid) || !strings.Contains(err.Error(), tt.name+"=") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want ErrInvalid with %q and %q", err, tt.name, tt.want)
			}
			if a == nil || a.Profiler() != nil || a.Reason() != err.Error() {
				t.Errorf("the agent must do nothing and say why")
			}
		})
	}
}

func TestBadOptionsAreAllReported(t *testing.T) {
	t.Setenv("FIRSTTOUCH_GRANULE", "9")
	_, err := Start(t.Context(), WithGranule(5), WithRing(1), WithDebugAddr("x"), WithFiles("["), WithArenas("["),
		WithLogLimit(-1), WithSignal(1), WithStopLimit(time.Minute), WithRescan(0), WithFlightRecorder(0, 0), WithRecordings(""), WithRecordSlow(-1), WithWindows(1), WithTraceURL("x"))
	for _, want := range []string{"FIRSTTOUCH_GRANULE", "WithGranule", "WithRing", "WithDebugAddr", "WithFiles", "WithArenas",
		"WithLogLimit", "WithSignal", "WithStopLimit", "WithRescan", "WithFlightRecorder", "WithRecordings", "WithRecordSlow", "WithWindows", "WithTraceURL"} {
		if err == nil || !strings.Contains(err.Error(), want+"=") && !strings.Contains(err.Error(), want+": ") {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}

func TestMisspeltVariableIsNoted(t *testing.T) {
	t.Setenv("FIRSTTOUCH_FILE", "/x")
	t.Setenv("FIRSTTOUCH_DISABLED", "true")
	a, err := Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if notes := a.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "FIRSTTOUCH_FILE is no setting") || !strings.HasSuffix(notes[0], "did you mean FIRSTTOUCH_FILES?") {
		t.Errorf("notes %q", notes)
	}
}
