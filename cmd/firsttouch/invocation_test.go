package main

import "testing"

func TestInvocation(t *testing.T) {
	for _, tt := range []struct{ exe, arg0, want string }{
		{"/tmp/go-build123/b001/exe/firsttouch", "/tmp/go-build123/b001/exe/firsttouch", "go run ./cmd/firsttouch"},
		{"/home/x/.cache/go-build/ab/abc-d/firsttouch", "/home/x/.cache/go-build/ab/abc-d/firsttouch", "go run ./cmd/firsttouch"},
		{"/home/x/go/bin/firsttouch", "firsttouch", "firsttouch"},
		{"/home/x/firsttouch", "./firsttouch", "./firsttouch"},
	} {
		if got := invocation(tt.exe, tt.arg0); got != tt.want {
			t.Errorf("invocation(%q, %q) = %q, want %q", tt.exe, tt.arg0, got, tt.want)
		}
	}
}
