// Command field runs services over other people's libraries, unmodified, with and without the profiler, and holds what it says
// against what is known by another way.
//
//	cd e2e/field && go run . -update      everything; writes docs/field.md
//	cd e2e/field && go run . -quick       a part of it, which waits until all is found, as .ci/run field does
//	cd e2e/field && go run . etcd lmdb    these services only; with -update their part of the page
//	cd e2e/field && go run . -soak 24h    one service after the other is started, profiled, changed and closed, for a day
//
// On a machine that others use too, put nice -n -10 in front: what is to be quiet then goes before them.
//
// Each service is a program of its own (the directories beside this file; package service is what they share). It runs in a
// file system of its own, in which the kernel reads no page that nobody asked for, so that the page cache holds afterwards what
// was touched. That needs root, and so does being another user.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) == 2 && os.Args[1] == spinArg {
		spin()
	}
	quick := flag.Bool("quick", false, "run a part of it")
	update := flag.Bool("update", false, "write docs/field.md")
	logs := flag.String("logs", "", "keep what the services write in this directory")
	loads := flag.String("loads", strings.Join(allLoads, ","), "with what else on the processors")
	users := flag.String("users", "root,user", "as whom")
	modes := flag.String("modes", strings.Join(allModes, ","), "how it is profiled")
	soak := flag.Duration("soak", 0, "run for so long, in place of everything else")
	limit := flag.Duration("timeout", 3*time.Hour, "for everything but a soak")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *soak == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *limit)
		defer cancel()
	}
	c := choice{names: flag.Args(), quick: *quick, loads: strings.Split(*loads, ","), users: strings.Split(*users, ","), modes: strings.Split(*modes, ",")}
	bad, err := all(ctx, c, *soak, *update, *logs)
	if err != nil {
		log.Fatal(err)
	}
	if bad {
		os.Exit(1)
	}
}

// choice is what is run.
type choice struct {
	names               []string
	quick               bool
	loads, users, modes []string
}

// few is what -quick runs: each load, user and mode at least once.
var few = []key{{Load: quiet, User: "root", Mode: "thread"}, {Load: busy, User: "root", Mode: "signal"}, {Load: half, User: "user", Mode: "windows"}}

// combinations lists the runs of a service under a load.
func (c choice) combinations(load string) (list []key) {
	for _, user := range c.users {
		for _, mode := range c.modes {
			k := key{Load: load, User: user, Mode: mode}
			if slices.Contains(c.loads, load) && (!c.quick || slices.Contains(few, k)) {
				list = append(list, k)
			}
		}
	}
	return list
}

// services are those that are run.
func (c choice) services() (list []*service) {
	for i := range services {
		s := &services[i]
		if slices.Contains(c.names, s.name) || len(c.names) == 0 && (!c.quick || s.quick) {
			list = append(list, s)
		}
	}
	return list
}

func all(ctx context.Context, c choice, soak time.Duration, update bool, logs string) (bad bool, err error) {
	for _, name := range c.names {
		if !slices.ContainsFunc(services, func(s service) bool { return s.name == name }) {
			return false, fmt.Errorf("there is no service %s: there are %s", name, names())
		}
	}
	if os.Getuid() != 0 {
		return false, fmt.Errorf("only root can make the file system in which touched pages are known, and be another user: run it as root")
	}
	p, err := readPage()
	if err != nil {
		return false, err
	}
	f, err := newField(logs)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if soak != 0 {
		err := f.soak(ctx, c, soak, p)
		if err == nil && update {
			err = p.write()
		}
		return false, err
	}
	ran := 0
	for _, s := range c.services() {
		if err := f.build(ctx, s); err != nil {
			return false, err
		}
		cells, err := f.runAll(ctx, s, c)
		if err != nil {
			return false, fmt.Errorf("%s: %w", s.name, err)
		}
		for _, cell := range cells {
			ran++
			bad = bad || len(cell.Red) > 0 && s.excuse(cell.key) == ""
			p.set(cell)
		}
		if update { // also when what follows is interrupted
			if err := p.write(); err != nil {
				return false, err
			}
		}
	}
	if ran == 0 {
		return false, fmt.Errorf("nothing was run")
	}
	fmt.Printf("%d runs\n", ran)
	return bad, nil
}

// build compiles a service.
func (f *field) build(ctx context.Context, s *service) error {
	c := exec.CommandContext(ctx, "go", "build", "-tags", "field", "-o", f.binary(s), "./"+s.name)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s%s", s.name, err, out, s.needs)
	}
	return nil
}

func (f *field) binary(s *service) string { return filepath.Join(f.bin, s.name) }
