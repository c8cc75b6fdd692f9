package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed wrap.go.txt
var wrapper string

// outcome is what became of the tests: "pass", "fail" or "skip" by package and test.
type outcome map[string]string

// row is one library in the table.
type row struct {
	library
	without, with outcome
	files, faults int
	errors        int
}

// compare runs the tests of a library twice.
func (l library) compare(ctx context.Context, quick bool) (row, error) {
	r := row{library: l, without: outcome{}, with: outcome{}}
	work, err := os.MkdirTemp("", "firsttouch-compat")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(work)
	dir, tmp, out := filepath.Join(work, "src"), filepath.Join(work, "tmp"), filepath.Join(work, "out")
	for _, d := range []string{tmp, out} {
		if err := os.Mkdir(d, 0o777); err != nil {
			return r, err
		}
	}
	if err := l.fetch(ctx, dir); err != nil {
		return r, err
	}
	for _, p := range l.packages {
		path, tests, _ := strings.Cut(p, " ")
		only, skip, _ := strings.Cut(tests, " ")
		if !quick {
			only = "."
		}
		binary := filepath.Join(work, "test"+strings.ReplaceAll(path, "/", "-"))
		if err := l.build(ctx, dir, path, binary); err != nil {
			return r, err
		}
		for _, profiled := range []bool{false, true} {
			to := r.without
			env := append(os.Environ(), "TMPDIR="+tmp)
			if profiled {
				to = r.with
				env = append(env, "FIRSTTOUCH_COMPAT_OUT="+out, "FIRSTTOUCH_RESCAN=1ms", "FIRSTTOUCH_METRICS=false", "FIRSTTOUCH_FILES="+everywhere(tmp))
			}
			args := append([]string{"tool", "test2json", "-p", path, binary, "-test.v=test2json", "-test.run=" + only, "-test.timeout=20m"}, testArgs(l.args)...)
			if skip != "" {
				args = append(args, "-test.skip="+skip)
			}
			c := exec.CommandContext(ctx, "go", args...)
			c.Dir, c.Env, c.Stderr = filepath.Join(dir, path), env, os.Stderr
			text, err := c.Output()
			if ctx.Err() != nil {
				return r, ctx.Err()
			}
			if err := to.read(text); err != nil {
				return r, err
			}
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				return r, err
			}
		}
	}
	return r, r.count(out)
}

func testArgs(args []string) (out []string) {
	for _, a := range args {
		out = append(out, strings.Replace(a, "-", "-test.", 1))
	}
	return out
}

// everywhere are patterns for files in a directory and below it.
func everywhere(dir string) string {
	var patterns []string
	for range 8 {
		dir += "/*"
		patterns = append(patterns, dir)
	}
	return strings.Join(append(patterns, "/tmp/*", "/tmp/*/*"), ":") // some tests know no other place
}

// fetch copies the library from the module cache, and has it know this module.
func (l library) fetch(ctx context.Context, dir string) error {
	text, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", l.module+"@"+l.version).Output()
	if err != nil {
		return fmt.Errorf("download: %w: %s", err, text)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(m.Dir)); err != nil {
		return err
	}
	// What is in the cache is read-only.
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if d.IsDir() {
			mode = 0o755
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	const self = "github.com/firsttouch/firsttouch"
	c := exec.CommandContext(ctx, "go", "mod", "edit", "-require="+self+"@v0.0.0", "-replace="+self+"="+here)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go mod edit: %w\n%s", err, out)
	}
	return nil
}

// build adds the wrapper to a package and compiles its tests.
func (l library) build(ctx context.Context, dir, path, binary string) error {
	c := exec.CommandContext(ctx, "go", "list", "-mod=mod", "-f", "{{.Name}} {{len .TestGoFiles}}", path)
	c.Dir = dir
	text, err := c.Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	name, inside, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if inside == "0" || l.imports != "" {
		name += "_test" // the library imports nothing of ours, and may be imported itself
	}
	source := strings.NewReplacer("PACKAGE", name, "IMPORTS", l.imports, "CODE", l.code).Replace(wrapper)
	if err := os.WriteFile(filepath.Join(dir, path, "zz_firsttouch_compat_test.go"), []byte(source), 0o644); err != nil {
		return err
	}
	c = exec.CommandContext(ctx, "go", "test", "-vet=off", "-mod=mod", "-c", "-o", binary, path)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("compile the tests of %s: %w\n%s", path, err, out)
	}
	return nil
}

// read adds the events of test2json. A package that ends by itself, such as by a crash, fails as a whole.
func (o outcome) read(text []byte) error {
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var e struct{ Action, Package, Test, Output string }
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
			o[e.Package+" "+cmp.Or(e.Test, "(as a whole)")] = e.Action
		}
	}
}

// count adds up what the agents of all processes saw.
func (r *row) count(out string) error {
	files, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		var regions, faults, errs, dropped int
		if _, err := fmt.Sscan(string(text), &regions, &faults, &errs, &dropped); err == nil {
			r.files, r.faults, r.errors = r.files+regions, r.faults+faults, r.errors+errs
		}
	}
	return nil
}
