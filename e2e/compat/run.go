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
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed wrap.go.txt
var wrapper string

// outcome is what became of the tests: "pass", "fail" or "skip" by package and test.
type outcome map[string]string

// row is one library in the table.
type row struct {
	library
	without, with outcome
	seen          seen
}

// seen is what the agents of a library's test processes saw: the wrapper writes it.
type seen struct {
	Files, Mappings, Attached      int
	Faults, Dropped, ResolveErrors uint64
	Refused                        map[string]int // mappings that could not be attached, by the reason
	Notes                          []string
}

// compare runs the tests of a library twice. logs is a directory for their events, or empty.
func (l library) compare(ctx context.Context, quick bool, logs string) (row, error) {
	r := row{library: l, without: outcome{}, with: outcome{}}
	work, err := os.MkdirTemp("", "firsttouch-compat")
	if err != nil {
		return r, err
	}
	if logs == "" {
		defer os.RemoveAll(work)
	} else {
		log.Printf("%s: test binaries stay in %s", l.name, work)
	}
	dir, tmp, out := filepath.Join(work, "src"), filepath.Join(work, "tmp"), filepath.Join(work, "out")
	for _, d := range []string{tmp, out} {
		if err := os.Mkdir(d, 0o777); err != nil {
			return r, err
		}
	}
	if err := l.fetch(ctx, dir); err != nil {
		return r, err
	}
	over, err := overlay(work)
	if err != nil {
		return r, err
	}
	for _, s := range l.suites {
		binary := filepath.Join(work, "test"+strings.ReplaceAll(s.path, "/", "-"))
		if err := l.build(ctx, dir, s.path, over, binary); err != nil {
			return r, err
		}
		for _, profiled := range []bool{false, true} {
			to := r.without
			env := append(os.Environ(), "TMPDIR="+tmp)
			if profiled {
				to = r.with
				env = append(env, "FIRSTTOUCH_COMPAT_OUT="+out)
			}
			args := append([]string{"tool", "test2json", "-p", s.path, binary}, s.args(quick)...)
			if l.short {
				args = append(args, "-test.short")
			}
			began := time.Now()
			c := exec.CommandContext(ctx, "go", args...)
			c.Dir, c.Env, c.Stderr = filepath.Join(dir, s.path), env, os.Stderr
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
			log.Printf("%s %s: %v, profiled: %v", l.name, s.path, time.Since(began).Round(time.Second), profiled)
			if logs != "" {
				file := fmt.Sprintf("%s%s-%v.json", l.name, strings.ReplaceAll(s.path, "/", "-"), profiled)
				if err := os.WriteFile(filepath.Join(logs, file), text, 0o644); err != nil {
					return r, err
				}
			}
		}
	}
	return r, r.count(out)
}

// args are those of the test binary.
func (s suite) args(quick bool) []string {
	only := cmp.Or(s.only, ".")
	if quick {
		only = s.quick
	}
	args := []string{"-test.v=test2json", "-test.timeout=10m", "-test.run=" + only}
	var leave []string
	for _, o := range s.leave {
		leave = append(leave, o.tests)
	}
	if len(leave) > 0 {
		args = append(args, "-test.skip="+strings.Join(leave, "|"))
	}
	return args
}

// fetch copies the library from the module cache, and has it know this module.
func (l library) fetch(ctx context.Context, dir string) error {
	text, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", l.module+"@"+l.version).Output()
	if err != nil {
		return fmt.Errorf("%s %s cannot be fetched from the module proxy: %w: %s", l.module, l.version, err, text)
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
func (l library) build(ctx context.Context, dir, path, over, binary string) error {
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
	c = exec.CommandContext(ctx, "go", "test", "-vet=off", "-mod=mod", "-overlay", over, "-c", "-o", binary, path)
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
			o[e.Package+" "+cmp.Or(e.Test, whole)] = e.Action
		}
	}
}

// count adds up what the agents of all processes saw.
func (r *row) count(out string) error {
	files, err := filepath.Glob(filepath.Join(out, "*.json"))
	if err != nil {
		return err
	}
	r.seen.Refused = map[string]int{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		var s seen
		if err := json.Unmarshal(text, &s); err != nil {
			return err
		}
		r.seen.Files, r.seen.Mappings, r.seen.Attached = r.seen.Files+s.Files, r.seen.Mappings+s.Mappings, r.seen.Attached+s.Attached
		r.seen.Faults, r.seen.Dropped, r.seen.ResolveErrors = r.seen.Faults+s.Faults, r.seen.Dropped+s.Dropped, r.seen.ResolveErrors+s.ResolveErrors
		for reason, n := range s.Refused {
			r.seen.Refused[reason] += n
		}
		for _, n := range s.Notes {
			if !slices.Contains(r.seen.Notes, n) {
				r.seen.Notes = append(r.seen.Notes, n)
			}
		}
	}
	return nil
}
