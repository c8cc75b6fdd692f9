package main

import (
	"bytes"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed c/handler.c
var source []byte

// handlers are what is measured, by the argument that makes this program, or the one in C, the handler.
var handlers = []struct {
	name, arg string
	c         bool
}{
	{"C: poll(2), then read(2)", "poll", true},
	{"C: read(2) that waits", "block", true},
	{"Go: FD.Read, FD.Copy", "read", false},
	{"Go: serve.Server", "serve", false},
}

// cost is what one handler took for one process.
type cost struct {
	faults float64 // a second
	cpu    float64 // seconds of processor time a fault
}

func main() {
	rounds := flag.Int("rounds", 9, "how often each handler is measured")
	pages := flag.Int("pages", 32768, "pages that are touched each time")
	as := flag.String("as", "", "be this handler, of the process at socket 3")
	flag.Parse()
	err := error(nil)
	if *as != "" {
		err = handle(*as)
	} else {
		err = run(*rounds, *pages)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "handler:", err)
		os.Exit(1)
	}
}

// build makes the programs in C.
func build(dir string) (string, error) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		return "", fmt.Errorf("no gcc in PATH, for what is compared with: %w", err)
	}
	text, program := filepath.Join(dir, "handler.c"), filepath.Join(dir, "handler")
	if err := os.WriteFile(text, source, 0o600); err != nil {
		return "", err
	}
	if out, err := exec.Command(gcc, "-O2", "-o", program, text, "-lpthread").CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc: %w: %s", err, out)
	}
	return program, nil
}

func run(rounds, pages int) error {
	dir, err := os.MkdirTemp("", "handler")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	inC, err := build(dir)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "| threads that touch\t| handler\t| faults a second\t| of C\t| processor time a fault\t| of C\t|")
	fmt.Fprintln(table, "|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, threads := range []int{1, 4} {
		costs := make([][]cost, len(handlers))
		for round := range rounds {
			order := rand.Perm(len(handlers))
			row := make([]cost, len(handlers))
			for _, i := range order {
				if row[i], err = measure(inC, handlers[i].arg, handlers[i].c, pages, threads); err != nil {
					return fmt.Errorf("round %d, %s: %w", round, handlers[i].name, err)
				}
			}
			for i, c := range row {
				costs[i] = append(costs[i], c)
			}
		}
		for i, h := range handlers {
			fmt.Fprintf(table, "| %d\t| %s\t| %.0f\t| %.2f\t| %.1f µs\t| %.2f\t|\n", threads, h.name,
				median(costs[i], func(_ int, c cost) float64 { return c.faults }),
				median(costs[i], func(n int, c cost) float64 { return c.faults / costs[0][n].faults }),
				median(costs[i], func(_ int, c cost) float64 { return c.cpu * 1e6 }),
				median(costs[i], func(n int, c cost) float64 { return c.cpu / costs[0][n].cpu }))
		}
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	fmt.Fprintf(table, "\n%d rounds of %d faults each, medians; Linux %s. \"Of C\" is the ratio to the first C handler, which makes the same system calls, in the same round.\n",
		rounds, pages, unix.ByteSliceToString(name.Release[:]))
	return table.Flush()
}

func median(costs []cost, of func(n int, c cost) float64) float64 {
	var all []float64
	for n, c := range costs {
		all = append(all, of(n, c))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// measure has one handler serve one process.
func measure(inC, arg string, c bool, pages, threads int) (cost, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return cost{}, err
	}
	near, far := os.NewFile(uintptr(pair[0]), "vm"), os.NewFile(uintptr(pair[1]), "handler")
	defer near.Close()
	defer far.Close()
	vm := exec.Command(inC, "vm", strconv.Itoa(pages), strconv.Itoa(threads))
	handler := exec.Command(inC, arg)
	if !c {
		self, err := os.Executable()
		if err != nil {
			return cost{}, err
		}
		handler = exec.Command(self, "-as", arg)
	}
	var elapsed, cpu, problems bytes.Buffer
	vm.ExtraFiles, vm.Stdout, vm.Stderr = []*os.File{near}, &elapsed, &problems
	handler.ExtraFiles, handler.Stdout, handler.Stderr = []*os.File{far}, &cpu, os.Stderr
	if err := vm.Start(); err != nil {
		return cost{}, err
	}
	if err := handler.Start(); err != nil {
		return cost{}, errors.Join(err, vm.Process.Kill(), vm.Wait())
	}
	stop := time.AfterFunc(2*time.Minute, func() { _ = errors.Join(vm.Process.Kill(), handler.Process.Kill()) })
	defer stop.Stop()
	if err := errors.Join(vm.Wait(), handler.Wait()); err != nil {
		return cost{}, fmt.Errorf("%w: %s", err, &problems)
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(elapsed.String()), 64)
	if err != nil {
		return cost{}, err
	}
	used, err := strconv.ParseFloat(strings.TrimSpace(cpu.String()), 64)
	return cost{faults: float64(pages) / seconds, cpu: used / float64(pages)}, err
}
