//go:build linux && (amd64 || arm64)

package calls

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the list in SECURITY.md anew")

const (
	security = "../../SECURITY.md"
	head     = "| system call | without it |\n|---|---|\n"
)

// SECURITY.md has the list as it is: go test ./internal/calls -update writes it.
func TestSecurityHasTheList(t *testing.T) {
	var table strings.Builder
	names := map[string]bool{}
	for _, c := range list {
		if names[c.Name] {
			t.Errorf("%s is in the list twice", c.Name)
		}
		names[c.Name] = true
		before := ""
		if c.Needed {
			before = "does not start: "
		}
		if c.Rare != "" {
			before += c.Rare + ": "
		}
		fmt.Fprintf(&table, "| `%s` | %s%s |\n", c.Name, before, c.Loses)
	}
	text, err := os.ReadFile(security)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), head)
	i := strings.Index(rest, "\n\n") + 1
	if !found || i == 0 {
		t.Fatalf("%s has no table that begins with %q", security, head)
	}
	want := table.String()
	if *update && runtime.GOARCH == "amd64" {
		if err := os.WriteFile(security, []byte(before+head+want+rest[i:]), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for line := range strings.Lines(want) { // arm64 has one call fewer
		if !strings.Contains(rest[:i], line) {
			t.Errorf("%s lacks %q: go test ./internal/calls -update", security, line)
		}
	}
	if runtime.GOARCH == "amd64" && rest[:i] != want {
		t.Errorf("%s has other lines than the list: go test ./internal/calls -update", security)
	}
}

// Asking has no effect and takes the kernel's answers to wrong arguments for none: without a filter nothing is refused.
func TestNothingIsRefusedWithoutAFilter(t *testing.T) {
	if Filtered() {
		t.Skip("this process has a seccomp filter")
	}
	for _, c := range list {
		if n := c.Ask(); n != 0 {
			t.Errorf("%s: %v", c.Name, n)
		}
	}
	if r := Refused(nil); r != nil {
		t.Errorf("refused: %v", r)
	}
	if err := Missing(unix.EIO, nil); err != unix.EIO {
		t.Errorf("nothing is refused, and %v became %v", unix.EIO, err)
	}
}
