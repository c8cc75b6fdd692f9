package uffd

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain fails the binary when a descriptor of this package outlives the tests.
func TestMain(m *testing.M) {
	skipExamples()
	code := m.Run()
	if left := openDescriptors(); len(left) > 0 && code == 0 {
		fmt.Fprintf(os.Stderr, "descriptors left open: %v\n", left)
		code = 1
	}
	printConformance()
	os.Exit(code)
}

// skipExamples leaves out the examples that this machine cannot run: an example has no other way to say so.
func skipExamples() {
	flag.Parse()
	if flag.Lookup("test.skip").Value.String() != "" || os.Getenv(childEnv) != "" {
		return
	}
	kernelMode := func() error {
		_, _, err := choosePath([]OpenPath{PathDevice, PathSyscall})
		return err
	}
	feature := func(f Features) func() error { return func() error { return HaveFeatures(f) } }
	var skip []string
	for _, e := range []struct {
		name  string
		needs []func() error
	}{
		{"ExampleFD_Copy", []func() error{kernelMode}},
		{"ExampleFD_Continue", []func() error{kernelMode, feature(FeatureMinorShmem)}},
		{"ExampleFD_Protect", []func() error{kernelMode, feature(FeaturePagefaultFlagWP)}},
		{"ExampleFD_Move", []func() error{feature(FeatureMove)}},
		{"ExampleFD_Poison", []func() error{feature(FeaturePoison)}},
		{"ExampleBatch", []func() error{feature(0)}},
		{"Example_events", []func() error{kernelMode, feature(FeatureEventRemove)}},
		{"ExamplePagemap_Scan", []func() error{feature(FeatureWPAsync), func() error { return HaveIoctl(IoctlPagemapScan) }}},
		{"ExampleReceive", []func() error{kernelMode, feature(FeatureThreadID)}},
	} {
		for _, need := range e.needs {
			if err := need(); errors.Is(err, ErrNotSupported) {
				fmt.Fprintf(os.Stderr, "%s is left out: %v\n", e.name, err)
				skip = append(skip, e.name)
				break
			}
		}
	}
	if len(skip) > 0 {
		_ = flag.Set("test.skip", "^("+strings.Join(skip, "|")+")$") // a flag of package testing, which is there
	}
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
