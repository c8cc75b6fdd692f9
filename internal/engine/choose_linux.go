//go:build linux && (amd64 || arm64)

package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// Which signal asks threads. Go gives all real-time signals from 35 on a handler at its start, also those that nobody
// wants (sigtable and initsig, runtime/signal_unix.go). So a signal is free if it has that handler or none. Ours
// passes on to it what is not ours, so that os/signal still gets what others send. C libraries give signals away from the
// lowest up: 32 and 33 are glibc's own, 34 is the first that it gives away, and musl's own. So they are tried from
// above; 64 is left out, since programs take SIGRTMAX by its name.
//
// Go has one thread that blocks all signals but those that os/signal is asked for, once it is used at all (ensureSigM,
// runtime/signal_unix.go). So it is asked for ours, and Go's handler is there also in programs in which it was not.
//
// Somebody may install another handler later. A signal that was taken away is never used again, so that no two handlers
// pass signals to each other for ever; where the user has not chosen one, the next free one is used instead.
const (
	highSignal = 63
	lowSignal  = 35
)

// ErrSignalTaken: threads can neither be asked nor stopped.
var ErrSignalTaken = errors.New("the profiler's signal was taken")

// signals is what Go code knows of ours. It is guarded by Engine.signalMu.
type signals struct {
	chosen  int // by the user; 0 is any
	now     int // that has our handler; 0 is none
	last    int // that had it
	tried   time.Duration
	taken   []string // what happened to those before
	news    []string // for the profile's notes
	nothing string   // why there is none
}

// unwanted gets from os/signal what others send, and drops it.
var unwanted = make(chan os.Signal, 1)

// want has Go's thread for signals unblock one, also where the program has since had it blocked (signal.Reset).
func want(sig int) {
	signal.Stop(unwanted)
	signal.Notify(unwanted, syscall.Signal(sig))
}

// lostSignals are those that were taken away, of all engines of the process. It is guarded by running.
var lostSignals [65]bool

// takeSignal chooses a signal, and installs our handler.
func takeSignal(chosen int) (int, error) {
	if chosen != 0 {
		a, err := disposition(chosen)
		switch {
		case err != nil:
			return 0, err
		case a.handler == sigtrampPC():
			want(chosen)
			return chosen, nil
		case a.handler == sigIgn:
			return 0, fmt.Errorf("signal %d is ignored by this process: choose another real-time signal, or none", chosen)
		case !a.free():
			return 0, fmt.Errorf("signal %d has a handler already, of %s: choose another real-time signal, or none", chosen, ownerNow(a.handler))
		}
		return chosen, a.take(chosen)
	}
	blocked := blockers()
	type candidate struct {
		sig, rank int
		seen      *sigaction
	}
	var list []candidate
	for sig := highSignal; sig >= lowSignal; sig-- {
		a, err := disposition(sig)
		switch {
		case err != nil:
			return 0, err
		case lostSignals[sig]:
		case a.handler == sigtrampPC():
			want(sig)
			return sig, nil // of an earlier engine
		case a.free():
			list = append(list, candidate{sig, blocked[sig], a})
		case a.handler == sigIgn: // what others send is ignored by our handler too
			list = append(list, candidate{sig, blocked[sig] + 1<<20, a})
		}
	}
	// Who waits for a signal (sigwait, signalfd) blocks it, and would get ours. A thread that blocks all of them waits for none.
	slices.SortStableFunc(list, func(a, b candidate) int { return a.rank - b.rank })
	for _, c := range list {
		if c.seen.take(c.sig) == nil {
			return c.sig, nil
		}
	}
	return 0, fmt.Errorf("no real-time signal from %d to %d is free: other code has a handler for each of them", lowSignal, highSignal)
}

// take installs our handler where the disposition a was seen.
func (a *sigaction) take(sig int) error {
	want(sig)
	b, err := disposition(sig)
	switch {
	case err != nil:
		return err
	case b.handler != a.handler && !isGo(b.handler): // which os/signal may have installed
		return errHandlerChanged
	}
	return installHandler(sig, b)
}

var errHandlerChanged = errors.New("its handler changed while ours was installed: try again")

// free reports whether nobody has asked for a signal.
func (a *sigaction) free() bool { return a.handler == sigDfl || isGo(a.handler) }

// isGo reports whether a handler is that of Go's runtime.
func isGo(handler uintptr) bool {
	f := runtime.FuncForPC(handler)
	return f != nil && strings.HasPrefix(f.Name(), "runtime.")
}

func disposition(sig int) (*sigaction, error) {
	a := new(sigaction)
	if e := rtSigaction(sig, nil, a); e != 0 {
		return nil, fmt.Errorf("look at the handler of signal %d: %w", sig, e)
	}
	return a, nil
}

func sigtrampPC() uintptr {
	_, handler, _ := entries()
	return handler
}

// blockers counts by how many threads each signal is blocked, where that can be told.
func blockers() (n [65]int) {
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		status, err := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		if err != nil {
			continue
		}
		mask, err := strconv.ParseUint(field(status, "SigBlk:"), 16, 64)
		for sig := lowSignal; err == nil && sig <= highSignal; sig++ {
			n[sig] += int(mask >> (sig - 1) & 1)
		}
	}
	return n
}

// ownerNow is owner by a look at the mappings.
func ownerNow(handler uintptr) string {
	maps, _ := os.ReadFile(mapsPath)
	return owner(handler, maps)
}

// owner says whose code a handler is, by what is mapped at its address.
func owner(handler uintptr, maps []byte) string {
	if isGo(handler) {
		return "Go's runtime (os/signal)"
	}
	for line := range bytes.Lines(maps) {
		span, _, _ := bytes.Cut(line, []byte(" "))
		from, to, _ := bytes.Cut(span, []byte("-"))
		lo, err := strconv.ParseUint(string(from), 16, 64)
		hi, err2 := strconv.ParseUint(string(to), 16, 64)
		if err != nil || err2 != nil || uint64(handler) < lo || hi <= uint64(handler) {
			continue
		}
		f := strings.Fields(string(line))
		if len(f) < 6 {
			return fmt.Sprintf("code at %#x, in memory without a file", handler)
		}
		offset, _ := strconv.ParseUint(f[2], 16, 64)
		return fmt.Sprintf("%s (at %#x in the file)", strings.Join(f[5:], " "), uint64(handler)-lo+offset)
	}
	return fmt.Sprintf("code at %#x, where nothing is mapped", handler)
}

// Signal returns the signal that asks threads, or 0 while there is none.
func (e *Engine) Signal() int {
	e.signalMu.Lock()
	defer e.signalMu.Unlock()
	return e.signals.now
}

// SignalTaken says what became of signals that the engine used, in the order in which it happened; empty where all is as it was.
func (e *Engine) SignalTaken() string {
	e.signalMu.Lock()
	defer e.signalMu.Unlock()
	return strings.Join(e.signals.taken, "; ")
}

// signalAgain bounds how often another signal is looked for where there was none.
const signalAgain = time.Second

// LookSignal looks whether our signal still has our handler. Where it has not, no thread is asked any more, and another
// signal takes its place, if there is one.
func (e *Engine) LookSignal() {
	e.signalMu.Lock()
	defer e.signalMu.Unlock()
	g, news := &e.signals, ""
	if g.now != 0 {
		a, err := disposition(g.now)
		if err != nil || a.handler == sigtrampPC() {
			if raw.Load64(&e.s.signal) == 0 { // it was away for a moment
				raw.Store64(&e.s.signal, uint64(g.now))
			}
			return
		}
		raw.Store64(&e.s.signal, 0)
		lostSignals[g.now] = true
		what := fmt.Sprintf("signal %d was taken by %s", g.now, e.ownerOf(a.handler))
		switch a.handler {
		case sigDfl:
			what = fmt.Sprintf("signal %d was taken: it has its default action now, which ends the process", g.now)
		case sigIgn:
			what = fmt.Sprintf("signal %d was taken: it is ignored now", g.now)
		}
		g.taken = append(g.taken, what)
		g.now, g.last, g.tried, news = 0, g.now, 0, what
	} else if Now()-g.tried < signalAgain {
		return
	}
	// Its owner may have given it back to our handler.
	g.tried = Now()
	if a, err := disposition(g.last); err == nil && a.handler == sigtrampPC() {
		g.now = g.last
	} else if g.chosen == 0 {
		if g.now, err = takeSignal(0); err != nil {
			g.nothing = err.Error()
		}
	} else {
		g.nothing = fmt.Sprintf("signal %d is the one that was chosen (WithSignal)", g.chosen)
	}
	if g.now == 0 {
		if news != "" {
			g.news = append(g.news, news+", and no other is used: "+g.nothing+"; no stack is taken any more, and mappings of files can neither be armed nor given back without a guard (WithGuard): they stay served")
		}
		return
	}
	raw.Store64(&e.s.signal, uint64(g.now))
	if news == "" {
		news = "there is a signal again"
	}
	g.news = append(g.news, fmt.Sprintf("%s: signal %d is used from now on", news, g.now))
}

// SignalNews returns what LookSignal has found since the last call.
func (e *Engine) SignalNews() []string {
	e.signalMu.Lock()
	defer e.signalMu.Unlock()
	news := e.signals.news
	e.signals.news = nil
	return news
}

// ownerOf is owner by a look at the mappings, without a descriptor of the process.
func (e *Engine) ownerOf(handler uintptr) (who string) {
	if err := e.Maps(func(text []byte) error { who = owner(handler, text); return nil }); err != nil {
		return owner(handler, nil)
	}
	return who
}

// noSignal is why threads cannot be asked, or nil.
func (e *Engine) noSignal() error {
	e.signalMu.Lock()
	defer e.signalMu.Unlock()
	g := &e.signals
	if g.now != 0 {
		return nil
	}
	return fmt.Errorf("%w: %s, and no other is used: %s: without it no thread can be stopped while mappings change: give a guard (WithGuard)",
		ErrSignalTaken, g.taken[len(g.taken)-1], g.nothing)
}

// lookSignalEach is how old the knowledge of our handler may be when a thread is asked for its stack.
const lookSignalEach = 10e6 // ns

// signalStands reports whether our signal still has our handler: another one would get our signals, and the default
// action ends the process. It looks at most every lookSignalEach, or at once where that is wanted. Between the look and
// the signal somebody may still change it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) signalStands(w *worker, now int64, atOnce bool) bool {
	sig := raw.Load64(&s.signal)
	if sig == 0 {
		return false
	}
	if !atOnce && now-int64(raw.Load64(&s.looked)) < lookSignalEach {
		return true
	}
	raw.Store64(&s.looked, uint64(now))
	a := uintptr(unsafe.Pointer(&w.args[10])) // struct sigaction
	if raw.Errno(raw.Syscall(unix.SYS_RT_SIGACTION, uintptr(sig), 0, a, 8, 0, 0)) == 0 && *at[uintptr](a) != s.handler {
		raw.Cas64(&s.signal, sig, 0)
		return false
	}
	return true
}
