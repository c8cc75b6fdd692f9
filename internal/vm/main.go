// Command vm runs the tests that depend on the kernel on other kernels and on another architecture, in
// virtual machines. Run it by .ci/vm, which installs what it needs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/internal/vm/wire"
)

type options struct {
	accel    string
	only     string
	slowness int
	fresh    bool
	cache    string
	page     string
	names    []string
}

func main() {
	log.SetFlags(0)
	var o options
	flag.StringVar(&o.accel, "accel", "tcg", "how qemu runs the machines: tcg, software emulation, or kvm for those of this architecture")
	flag.StringVar(&o.only, "run", "", "run these tests of all packages, as of go test -run, and write no page")
	flag.IntVar(&o.slowness, "slowness", 0, "how many times longer than on hardware tests may take (default 10 with tcg, 2 with kvm)")
	flag.BoolVar(&o.fresh, "update", false, "download the kernels again, for newer versions of them")
	flag.StringVar(&o.page, "page", "", "run nothing, and write "+page+" from the results that are kept for this commit")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: .ci/vm [flags] [kernel ...]\n\n")
		for _, m := range matrix {
			fmt.Fprintf(flag.CommandLine.Output(), "  %-10s %s/%s: %s\n", m.name, m.suite, m.arch, m.reason)
		}
		fmt.Fprintln(flag.CommandLine.Output())
		flag.PrintDefaults()
	}
	flag.Parse()
	o.names = flag.Args()
	if err := run(context.Background(), o); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, o options) error {
	machines, err := choose(o.names)
	if err != nil {
		return err
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	o.cache = filepath.Join(user, "firsttouch", "vm")
	if o.page != "" {
		return publish(o.cache, o.page)
	}
	debian, err := newApt(ctx, filepath.Join(o.cache, "apt"))
	if err != nil {
		return err
	}
	commit, err := currentCommit(ctx)
	if err != nil {
		return err
	}
	var failed []string
	for _, m := range machines {
		began := time.Now()
		r, err := runMachine(ctx, debian, m, o)
		if err != nil {
			fmt.Printf("%s: %v\n", m.name, err)
			failed = append(failed, m.name)
			continue
		}
		problems := r.problems()
		fmt.Printf("%s: %d problems, %.0f s\n", m.name, len(problems), time.Since(began).Seconds())
		for _, p := range problems {
			fmt.Println("  " + p)
		}
		if len(problems) > 0 {
			failed = append(failed, m.name)
		}
		if r.Commit = commit; commit != "" && o.only == "" {
			if err := keep(o.cache, r); err != nil {
				return err
			}
		}
	}
	if commit == "" || o.only != "" {
		fmt.Printf("%s stays: it is for all tests of a commit, from a worktree without changes\n", page)
	} else if err := publish(o.cache, commit); err != nil {
		return err
	}
	if len(failed) > 0 {
		return errors.New("FAILED: " + strings.Join(failed, ", "))
	}
	fmt.Printf("all of %d kernels passed\n", len(machines))
	return nil
}

// runMachine has one guest do its job.
func runMachine(ctx context.Context, debian *apt, m machine, o options) (*result, error) {
	accel := o.accel
	if accel == "kvm" && m.arch != runtime.GOARCH {
		accel = "tcg"
	}
	slowness := o.slowness
	if slowness == 0 {
		slowness = map[string]int{"tcg": 10, "kvm": 2}[accel]
	}
	dir := filepath.Join(o.cache, "run", m.name)
	kernels := filepath.Join(o.cache, "kernels")
	for _, d := range []string{dir, kernels} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	k, err := fetch(ctx, debian, m, filepath.Join(kernels, m.name), o.fresh)
	if err != nil {
		return nil, err
	}
	work, err := prepare(ctx, m, k, dir, slowness, o.only)
	if err != nil {
		return nil, err
	}
	defer os.Remove(filepath.Join(dir, diskFile))
	c, err := newCollector(ctx, m, dir)
	if err != nil {
		return nil, err
	}
	c.result.Accel = accel
	limit := 5 * time.Minute // to boot and to end
	for _, s := range work.Steps {
		limit += s.Budget
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := boot(ctx, m, k, dir, accel, c.frame); err != nil {
		return nil, err
	}
	return &c.result, c.summary()
}

// prepare makes the guest's disk and initramfs in dir.
func prepare(ctx context.Context, m machine, k kernel, dir string, slowness int, only string) (wire.Job, error) {
	modules, err := loadOrder(ctx, k)
	if err != nil {
		return wire.Job{}, err
	}
	work := job(modules, slowness, only)
	text, err := json.Marshal(work)
	if err != nil {
		return work, err
	}
	root, err := os.MkdirTemp(dir, "root")
	if err != nil {
		return work, err
	}
	defer os.RemoveAll(root)
	guest := filepath.Join(dir, "guest")
	if err := build(ctx, m.arch, guest, filepath.Join(root, wire.Binaries)); err != nil {
		return work, err
	}
	if err := stage(ctx, root); err != nil {
		return work, err
	}
	if err := newDisk(ctx, filepath.Join(dir, diskFile), root); err != nil {
		return work, err
	}
	return work, initramfs(filepath.Join(dir, initrdFile), guest, modules, text)
}

// currentCommit is empty where the worktree is not what the commit says.
func currentCommit(ctx context.Context) (string, error) {
	changed, err := output(exec.CommandContext(ctx, "git", "status", "--porcelain"))
	if err != nil || len(changed) > 0 {
		return "", err
	}
	text, err := output(exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD"))
	return strings.TrimSpace(string(text)), err
}
