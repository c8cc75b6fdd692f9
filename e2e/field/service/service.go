// Package service is what the services of e2e/field have in common: each is a program of its own over an unmodified
// library, links the agent as any service does, and answers the same questions in each run. The command beside it runs
// them, and knows by another way which pages they touch.
package service

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Service is a program that maps files.
type Service struct {
	// Prepare makes the data in an empty directory, the same each time.
	Prepare func(dir string) error
	// Open opens the data. It may touch some of it.
	Open func(dir string) (Instance, error)
}

// Instance is an open service.
type Instance interface {
	// Query writes the answers to its questions, which are the same each time.
	Query(w io.Writer) error
	// Change does what replaces the files, as compaction does, and leaves the answers as they are.
	Change() error
	Close() error
}

// Memory is an Instance that has what is to be observed in memory without a file.
type Memory interface {
	// Memory is where it lies: start and end.
	Memory() (start, end uintptr, err error)
}

// Variables of the environment of a service, which the command sets.
const (
	// ModeEnv is how it is profiled, see the modes.
	ModeEnv = "FIELD_MODE"
	// Without is the mode without the profiler.
	Without = "without"
	// RepeatEnv is for how long the questions are asked again and again, a duration.
	RepeatEnv = "FIELD_REPEAT"
)

// ExpectEnv is how many mappings each stage waits for, for 20 seconds at most, such as "1,1": where the time in which they are found is
// not what is tested.
const ExpectEnv = "FIELD_EXPECT"

// Wait is for how long a service that is open waits before it asks: a mapping is to be found by then.
const Wait = 800 * time.Millisecond

// Result is what a run gave.
type Result struct {
	Reason        string // why the agent did nothing, or empty
	Start         time.Duration
	Stages        []Stage
	Shutdown      time.Duration
	ShutdownError string
	After         string // digest of the answers after Shutdown
	Dropped       uint64
	Faults        uint64
	ResolveErrors uint64
	LastError     string
	Notes         []string
}

// Stage is what was seen of one round of questions: after Open, and after Change.
type Stage struct {
	Digest string
	Took   time.Duration // of the first round
	CPU    time.Duration // processor time of the process in it
	Rounds int
	// Mappings are how many were there when the first question was asked: by the kernel's list without the profiler, and as
	// observed with it.
	Mappings int
	// Found is how long after Open or Change the last mapping was observed, 0 where all were before.
	Found time.Duration
	// Touched pages by file, before the first question, and when the last one was answered.
	Before, After map[string]Bits
	// Referenced is how many pages of memory without a file were touched since the first question, by the kernel.
	Referenced int
	// Sampled: not all pages were observed. Pages are those that were touched by estimate, by file.
	Sampled bool
	Pages   map[string]Estimate
	Notes   []string
}

// Estimate is a number of pages.
type Estimate struct{ Pages, Error float64 }

// Bits is a set of pages of a file.
type Bits []byte

// Set adds a page.
func (b *Bits) Set(page int64) {
	for int64(len(*b)) <= page/8 {
		*b = append(*b, 0)
	}
	(*b)[page/8] |= 1 << (page % 8)
}

// Has reports whether a page is in it.
func (b Bits) Has(page int64) bool { return page/8 < int64(len(b)) && b[page/8]&(1<<(page%8)) != 0 }

// All calls yield for its pages.
func (b Bits) All(yield func(int64) bool) {
	for i := range int64(len(b)) * 8 {
		if b.Has(i) && !yield(i) {
			return
		}
	}
}

// Message is what a service tells the command, which answers each with a line.
type Message struct {
	Mark   string  `json:",omitempty"` // "start", "cold", "before" or "after"
	Result *Result `json:",omitempty"`
}

// Main is the program.
func Main(s Service) {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: prepare DIR | run DIR | soak DIR DURATION")
	}
	dir := os.Args[2]
	var err error
	switch os.Args[1] {
	case "prepare":
		err = s.Prepare(dir)
	case "run":
		err = run(s, dir)
	case "soak":
		var d time.Duration
		if d, err = time.ParseDuration(os.Args[3]); err == nil {
			err = soak(s, dir, d)
		}
	default:
		err = fmt.Errorf("no command %q", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
}

// expected is how many mappings a stage waits for.
func expected(stage int) int {
	list := strings.Split(os.Getenv(ExpectEnv), ",")
	if stage >= len(list) {
		return 0
	}
	n, _ := strconv.Atoi(list[stage])
	return n
}

// tell sends a message and waits until the command has done what it says.
func tell(m Message) error {
	if err := json.NewEncoder(os.Stdout).Encode(m); err != nil {
		return err
	}
	var answer [1]byte
	_, err := io.ReadFull(os.Stdin, answer[:])
	return err
}

func mark(name string) error { return tell(Message{Mark: name}) }

// processor is the processor time of this process.
func processor() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ask asks all questions, and returns a digest of the answers.
func ask(i Instance) (string, time.Duration, error) {
	h := sha256.New()
	began := time.Now()
	err := i.Query(h)
	return fmt.Sprintf("%x", h.Sum(nil)), time.Since(began), err
}

func run(s Service, dir string) error {
	if err := mark("start"); err != nil {
		return err
	}
	var r Result
	began := time.Now()
	o, err := observe()
	if err != nil {
		return err
	}
	r.Start, r.Reason = time.Since(began), o.reason()
	i, err := s.Open(dir)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if err := o.memory(i); err != nil {
		return err
	}
	for n := range 2 {
		if n == 1 {
			if err := i.Change(); err != nil {
				return fmt.Errorf("change: %w", err)
			}
		}
		stage, err := o.stage(i, expected(n))
		if err != nil {
			return fmt.Errorf("stage %d: %w", n+1, err)
		}
		r.Stages = append(r.Stages, stage)
	}
	o.end(&r, 10*time.Second)
	if r.After, _, err = ask(i); err != nil {
		return fmt.Errorf("questions after the end: %w", err)
	}
	if err := i.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return tell(Message{Result: &r})
}
