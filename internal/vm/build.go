package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/internal/vm/wire"
)

// tests are the packages whose tests run in the guests, with what each may take on fast hardware.
var tests = []struct {
	dir    string
	budget time.Duration
}{
	{"internal/raw", time.Minute},
	{"internal/engine", time.Minute},
	{"internal/pclntab", time.Minute},
	{"uffd", 3 * time.Minute},
	{"profiler", 4 * time.Minute},
}

// doctor is the step that is no test.
const doctor = "doctor"

// source is where the guest has the files of the repository, for tests that read some.
const source = "/src"

// build compiles for an architecture into a directory.
func build(ctx context.Context, arch, dir string) error {
	args := [][]string{
		{"build", "-o", filepath.Join(dir, "init"), "./internal/vm/guest"},
		{"build", "-o", filepath.Join(dir, "firsttouch"), "./cmd/firsttouch"},
	}
	for _, t := range tests {
		args = append(args, []string{"test", "-c", "-o", filepath.Join(dir, binary(t.dir)), "./" + t.dir})
	}
	for _, a := range args {
		c := exec.CommandContext(ctx, "go", a...)
		c.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
		if _, err := output(c); err != nil {
			return err
		}
	}
	return nil
}

// binary is the name of a package's test binary.
func binary(dir string) string { return strings.ReplaceAll(dir, "/", "-") + ".test" }

// job is what every guest does, with time budgets that are slowness times as long as on fast hardware.
func job(modules []module, slowness int, only string) wire.Job {
	j := wire.Job{Env: []string{
		"HOME=/tmp", "PATH=" + wire.Binaries,
		testproc.SlownessEnv + "=" + strconv.Itoa(slowness),
	}}
	for _, m := range modules {
		j.Modules = append(j.Modules, m.name)
	}
	j.Steps = append(j.Steps, wire.Step{
		Name: doctor, Args: []string{wire.Binaries + "/firsttouch", "doctor", "-json"}, Dir: source,
		Budget: time.Duration(slowness) * time.Minute,
	})
	for _, t := range tests {
		limit := time.Duration(slowness) * t.budget
		args := []string{wire.Binaries + "/" + binary(t.dir), "-test.v=test2json", "-test.timeout=" + limit.String()}
		if only != "" {
			args = append(args, "-test.run="+only)
		}
		// The tests' own end prints more than a signal would, so it comes first.
		j.Steps = append(j.Steps, wire.Step{Name: t.dir, Args: args, Dir: source + "/" + t.dir, Budget: limit + 30*time.Second})
	}
	return j
}

// initramfs writes the guest's file system: our own process 1, the binaries, the repository's files.
func initramfs(ctx context.Context, path, binaries string, modules []module, jobText []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	a := &archive{w: f}
	for _, d := range []string{"dev", "bin", "etc", "modules"} {
		a.dir(d)
	}
	for _, m := range modules {
		a.file("modules/"+m.name, 0o644, m.image)
	}
	a.file(strings.TrimPrefix(wire.JobFile, "/"), 0o644, jobText)
	a.file("etc/passwd", 0o644, []byte("root:x:0:0::/:\nnobody:x:65534:65534::/:\n"))
	entries, err := os.ReadDir(binaries)
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(binaries, e.Name()))
		if err != nil {
			return err
		}
		a.file("bin/"+e.Name(), 0o755, text)
	}
	a.link("init", "bin/init")
	a.link("bin/true", "init")
	if err := addSource(ctx, a); err != nil {
		return err
	}
	if err := a.close(); err != nil {
		return err
	}
	return f.Close()
}

// addSource adds the files that git knows.
func addSource(ctx context.Context, a *archive) error {
	list, err := output(exec.CommandContext(ctx, "git", "ls-files", "-z"))
	if err != nil {
		return err
	}
	made := make(map[string]bool)
	mkdir := func(dir string) {
		for i, c := range dir + "/" {
			if c == '/' && !made[dir[:i]] {
				made[dir[:i]] = true
				a.dir(dir[:i])
			}
		}
	}
	for _, name := range strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		text, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("a file that git knows: %w", err)
		}
		mkdir(filepath.Join(strings.TrimPrefix(source, "/"), filepath.Dir(name)))
		a.file(filepath.Join(strings.TrimPrefix(source, "/"), name), fs.FileMode(0o644), bytes.Clone(text))
	}
	return nil
}
