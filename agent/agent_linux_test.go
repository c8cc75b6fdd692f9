package agent

import (
	"bytes"
	"context"
	"errors"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/firsttouch/firsttouch/uffd"
)

// TestEngineSettings sees the settings that the profiler takes by what it then says of itself.
func TestEngineSettings(t *testing.T) {
	for _, tt := range []struct {
		environ []string
		opts    []Option
		stacks  string
	}{
		{nil, nil, "at most 1000/s"},
		{[]string{"FIRSTTOUCH_STACKS=all"}, nil, "every fault"},
		{[]string{"FIRSTTOUCH_STACKS=none"}, nil, "none"},
		{[]string{"FIRSTTOUCH_STACKS=1/64"}, nil, "1 in 64"},
		{[]string{"FIRSTTOUCH_STACKS=20/s"}, nil, "at most 20/s"},
		{[]string{"FIRSTTOUCH_STACKS=20/s"}, []Option{WithStacks(profiler.StacksOneIn(7))}, "1 in 7"},
	} {
		t.Run(tt.stacks, func(t *testing.T) {
			for _, kv := range tt.environ {
				name, value, _ := strings.Cut(kv, "=")
				t.Setenv(name, value)
			}
			a := start(t, tt.opts...)
			if got := a.Profiler().Snapshot().Stats.StackSampling; got != tt.stacks {
				t.Errorf("stack sampling %q, want %q", got, tt.stacks)
			}
		})
	}
}

// TestShutdownLeavesMemoryInPlace: the service outlives the profiler, and goes on using its memory.
func TestShutdownLeavesMemoryInPlace(t *testing.T) {
	// Memory that is gone fails this test, and not the process.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if err := recover(); err != nil {
			t.Errorf("after the end of the agent: %v", err)
		}
	}()
	path, file := database(t, 16)
	a := start(t, WithFiles(path))
	page := uffd.PageSize()
	arena, err := a.Arena("cache", 16*page)
	if err != nil {
		t.Fatal(err)
	}
	mem := arena.Bytes()
	mem[3*page] = 7
	touchPage(file, 3)
	if err := errors.Join(a.Shutdown(t.Context()), a.Shutdown(t.Context())); err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		want := byte(0)
		if i == 3 {
			want = 7
		}
		if got := touchPage(mem, i); got != want {
			t.Errorf("arena page %d holds %d, want %d", i, got, want)
		}
		mem[i*page] = 1
		if got := touchPage(file, i); got != byte(i) {
			t.Errorf("file page %d holds %d", i, got)
		}
	}
	if !bytes.Equal(mem[5*page:5*page+2], []byte{1, 0}) {
		t.Error("what was written after the end is not there")
	}
	if err := arena.Close(); err != nil {
		t.Error(err)
	}
	later, err := a.Arena("later", page)
	if err != nil {
		t.Fatal(err)
	}
	later.Bytes()[0] = 1
	if err := later.Close(); err != nil {
		t.Error(err)
	}
}

func TestStartWithAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a, err := Start(ctx); !errors.Is(err, context.Canceled) || a.Profiler() != nil {
		t.Errorf("error %v, profiler %v", err, a.Profiler())
	}
}

// TestDeliveryBySignal: the variable reaches the engine, and the result says so.
func TestDeliveryBySignal(t *testing.T) {
	t.Setenv("FIRSTTOUCH_DELIVERY", "signal")
	a := start(t)
	arena, err := a.Arena("cache", 16*uffd.PageSize())
	if err != nil {
		t.Fatal(err)
	}
	touchPage(arena.Bytes(), 3)
	s := a.Profiler().Snapshot().Stats
	if s.Delivery != "signal" || s.Faults != 1 || !s.UserModeOnly {
		t.Errorf("%+v", s)
	}
}
