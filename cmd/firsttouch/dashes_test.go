package main

import (
	"slices"
	"strings"
	"testing"
)

func TestDoubleDashes(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"demo -seed 3", "demo --seed 3"},
		{"demo --seed 3", "demo --seed 3"},
		{"demo -granule=64KiB -json", "demo --granule=64KiB --json"},
		{"demo -out -json", "demo --out -json"}, // a directory of that name
		{"demo -json -out -json", "demo --json --out -json"},
		{"demo -concurrency -1", "demo --concurrency -1"},
		{"demo -h", "demo -h"},
		{"demo -help", "demo --help"},
		{"demo - -- -seed", "demo - -- -seed"},
		{"demo -unknown -json", "demo --unknown --json"},
		{"demo out -json", "demo out --json"}, // an argument, not a flag that takes a value
	} {
		args := strings.Fields(tt.in)
		got := doubleDashes(newRoot(), args)
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q became %q, want %q", tt.in, got, tt.want)
		}
		if !slices.Equal(args, strings.Fields(tt.in)) {
			t.Errorf("%q was changed in place", tt.in)
		}
	}
}

func TestBytesValue(t *testing.T) {
	for text, want := range map[string]int{"4096": 4096, "64KiB": 65536, "2 MiB": 2 << 20, "1GiB": 1 << 30} {
		var n int
		if err := (bytesValue{&n}).Set(text); err != nil || n != want {
			t.Errorf("%q: %d, %v; want %d", text, n, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "0", "4k", "1.5MiB", "9999999999", "3GiB"} {
		var n int
		if err := (bytesValue{&n}).Set(text); err == nil {
			t.Errorf("%q: taken as %d", text, n)
		}
	}
}

func TestProgress(t *testing.T) {
	var out strings.Builder
	p := newProgress(&out)
	p.report("reading", 1, 100)
	p.report("reading", 100, 100)
	p.report("writing", 1, 10)
	p.finish()
	p.finish()
	text := out.String()
	reading, writing := strings.Index(text, "reading"), strings.Index(text, "writing")
	if reading < 0 || writing < reading {
		t.Errorf("got %q, want a bar for each stage", text)
	}
	// Whatever was drawn is wiped: what follows stands on a line of its own.
	if !strings.HasSuffix(text, "\r") {
		t.Errorf("ends in %q, want a return to the start of an empty line", text[max(0, len(text)-20):])
	}
}
