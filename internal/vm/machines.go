package main

import (
	"fmt"
	"slices"
	"strings"
)

// machine is a kernel of the matrix and the hardware under it.
type machine struct {
	name   string
	arch   string // of Go and of Debian, which agree on these
	suite  string // of Debian
	pkg    string // the metapackage
	reason string // why this kernel is in the matrix
}

// matrix is ordered by kernel.
var matrix = []machine{
	{"5.10", "amd64", "bullseye", "linux-image-cloud-amd64", "older than the engine needs"},
	{"6.1", "amd64", "bookworm", "linux-image-cloud-amd64", "no POISON, WP_ASYNC, MOVE or PAGEMAP_SCAN"},
	{"6.12", "amd64", "trixie", "linux-image-cloud-amd64", "Debian's stable release"},
	{"newest", "amd64", "trixie-backports", "linux-image-cloud-amd64", "the newest that Debian's stable release can have"},
	{"arm64", "arm64", "trixie", "linux-image-cloud-arm64", "arm64, pages of 4 KiB"},
	{"arm64-16k", "arm64", "trixie-backports", "linux-image-arm64-16k", "arm64, pages of 16 KiB"},
}

// suites are the releases of Debian that the matrix has kernels of.
func suites() (names []string) {
	for _, m := range matrix {
		if !slices.Contains(names, m.suite) {
			names = append(names, m.suite)
		}
	}
	return names
}

// choose finds machines by name, or all of them for no name.
func choose(names []string) ([]machine, error) {
	if len(names) == 0 {
		return matrix, nil
	}
	var chosen []machine
	var known []string
	for _, m := range matrix {
		known = append(known, m.name)
		if slices.Contains(names, m.name) {
			chosen = append(chosen, m)
		}
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, fmt.Errorf("no kernel is called %q: there are %s", n, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// qemu is the emulator and the arguments that differ between architectures.
type qemu struct {
	program, console string
	args             []string
}

// emulators by architecture. The arm64 processor is one that has 16 KiB pages, the large system
// extensions, and no pointer authentication, which is slow to emulate.
var emulators = map[string]qemu{
	"amd64": {"qemu-system-x86_64", "ttyS0", []string{"-machine", "q35", "-cpu", "max"}},
	"arm64": {"qemu-system-aarch64", "ttyAMA0", []string{"-machine", "virt", "-cpu", "neoverse-n1"}},
}
