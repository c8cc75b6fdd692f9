package uffd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain fails the binary when a descriptor of this package outlives the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := openDescriptors(); len(left) > 0 && code == 0 {
		fmt.Fprintf(os.Stderr, "descriptors left open: %v\n", left)
		code = 1
	}
	printConformance()
	os.Exit(code)
}

// openDescriptors lists the open files that only this package makes.
func openDescriptors() []string {
	var left []string
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			continue // the descriptor of the listing itself
		}
		for _, ours := range []string{"userfaultfd", "memfd:uffd"} {
			if strings.Contains(target, ours) {
				left = append(left, filepath.Base(link)+" "+target)
			}
		}
	}
	return left
}

func TestOpenDescriptorsSeesOne(t *testing.T) {
	before := len(openDescriptors())
	fd := openTest(t)
	if got := len(openDescriptors()); got != before+1 {
		t.Fatalf("%d descriptors listed with one more open, want %d", got, before+1)
	}
	if err := fd.Close(); err != nil {
		t.Fatal(err)
	}
	if got := len(openDescriptors()); got != before {
		t.Fatalf("%d descriptors listed after Close, want %d", got, before)
	}
}
