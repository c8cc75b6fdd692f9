package exporter

import (
	"runtime"
	"testing"
)

func TestServesCaller(t *testing.T) {
	for _, c := range []struct {
		function, file string
		want           bool
	}{
		{"runtime.memmove", "", true},
		{"runtime.mapaccess1_faststr", "", true},
		{"internal/runtime/maps.(*Iter).Next", "", true},
		{"internal/runtime/syscall/linux.Syscall6", "", true},
		{"internal/bytealg.IndexByteString", "", true},
		{"internal/poll.(*FD).Read", "", true},
		{"memeqbody", "/go/src/internal/bytealg/equal_amd64.s", true},
		{"memeqbody", "/app/equal_amd64.s", false},
		{"syscall.Syscall", "", true},
		{"bytes.Equal", "", true},
		{"slices.SortFunc[go.shape.struct{a/b.c}]", "", true},
		{"runtime/pprof.Do", "", true},
		{"", "", true},
		{"runtimes.Touch", "", false},
		{"main.main", "", false},
		{"example.com/runtime.Touch", "", false},
		{"example.com/a.b/syscall.Touch", "", false},
		{"go.etcd.io/bbolt.(*Cursor).Seek", "", false},
		{"github.com/x/y.Generic[...]", "", false},
		{"github.com/x/y.Generic[github.com/x/runtime.T].", "", false},
		{"crosscall2", "/go/src/runtime/cgo/asm_amd64.s", false},
	} {
		if got := ServesCaller(runtime.Frame{Function: c.function, File: c.file}); got != c.want {
			t.Errorf("%q of %q: %v", c.function, c.file, got)
		}
	}
}

func TestCaller(t *testing.T) {
	for want, names := range map[int][]string{
		2:  {"runtime.memmove", "", "main.copy", "main.main"},
		0:  {"runtime.gcDrain", "runtime.goexit"},
		-1: nil,
	} {
		var frames []runtime.Frame
		for _, n := range names {
			frames = append(frames, runtime.Frame{Function: n})
		}
		if got := Caller(frames); got != want {
			t.Errorf("%v: frame %d, want %d", names, got, want)
		}
	}
}

func TestPackage(t *testing.T) {
	for function, want := range map[string]string{
		"main.main":                                  "main",
		"go.etcd.io/bbolt.(*Cursor).Seek":            "go.etcd.io/bbolt",
		"github.com/x/y%2ez.F":                       "github.com/x/y%2ez",
		"slices.SortFunc[go.shape.struct{a/b.c}]":    "slices",
		"example.com/a.b/c.G[example.com/d.T].func1": "example.com/a.b/c",
		"memeqbody":                                  "memeqbody",
	} {
		if got := Package(function); got != want {
			t.Errorf("%q: %q, want %q", function, got, want)
		}
	}
}
