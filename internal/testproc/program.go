package testproc

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// Tell ends a program that a test has built and runs: it prints "ok", or "skip: " with the reason where the error is
// notSupported, or what is wrong, and then exits with 1.
func Tell(err, notSupported error) {
	switch {
	case errors.Is(err, notSupported):
		fmt.Println("skip:", err)
	case err != nil:
		fmt.Println(err)
		os.Exit(1)
	default:
		fmt.Println("ok")
	}
}

// Told fails or skips the test for what a program said with Tell; err is that of running it.
func Told(t *testing.T, out []byte, err error) {
	t.Helper()
	last := strings.TrimSpace(string(out))
	if reason, skipped := strings.CutPrefix(last, "skip: "); skipped && err == nil {
		t.Skip(reason)
	}
	if err != nil || last != "ok" {
		t.Errorf("%v\n%s", err, out)
	}
}
