package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// edits put two calls into the standard library of the test binaries, which they have with and without the
// profiler. A library may map a file, read it and unmap it within a millisecond, so looking at the mappings now and
// then would miss some. All of x/sys/unix and of what is translated from C comes through syscall.Syscall6.
var edits = []struct{ file, old, new string }{
	{"syscall/syscall_linux.go", `	r1, r2, err = RawSyscall6(trap, a1, a2, a3, a4, a5, a6)
	runtime_exitsyscall()
	return
}
`, `	r1, r2, err = RawSyscall6(trap, a1, a2, a3, a4, a5, a6)
	runtime_exitsyscall()
	if trap == SYS_MMAP && err == 0 && FirsttouchMapped != nil {
		FirsttouchMapped(r1, a2, a3, a4, a5)
	}
	return
}

var (
	FirsttouchMapped func(addr, length, prot, flags, fd uintptr)
	FirsttouchExit   func()
)
`},
	{"os/proc.go", `func Exit(code int) {
`, `func Exit(code int) {
	if syscall.FirsttouchExit != nil {
		syscall.FirsttouchExit()
	}
`},
}

// overlay writes the file for go build -overlay. A standard library in which the places are not found is an error.
func overlay(dir string) (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	replace := map[string]string{}
	for _, e := range edits {
		path := filepath.Join(strings.TrimSpace(string(root)), "src", e.file)
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if bytes.Count(text, []byte(e.old)) != 1 {
			return "", fmt.Errorf("%s of this Go does not have once what the overlay replaces: adapt edits in overlay.go", e.file)
		}
		to := filepath.Join(dir, filepath.Base(e.file))
		if err := os.WriteFile(to, bytes.Replace(text, []byte(e.old), []byte(e.new), 1), 0o644); err != nil {
			return "", err
		}
		replace[path] = to
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, text, 0o644)
}
