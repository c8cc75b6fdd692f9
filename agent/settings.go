package agent

import (
	"errors"
	"fmt"
	"strings"
)

// prefix starts the name of every environment variable that the agent reads.
const prefix = "FIRSTTOUCH_"

// setting is one environment variable. The table below is the whole list: it is what Start reads,
// what an unknown variable is compared with, and what the documentation is tested against.
type setting struct {
	variable string
	help     string // one line: the form of the value, and the default
	set      func(c *config, value string) error
}

var settings = []setting{
	{"FIRSTTOUCH_FILES", "glob patterns of memory-mapped files, separated by ':'; none", (*config).parseFiles},
	{"FIRSTTOUCH_GROUP", "what files that FIRSTTOUCH_FILES finds are added up by in metrics and once they have gone: file, directory, pattern, or auto, which is file for the first 8 of a pattern and pattern for the others; auto", (*config).parseGrouping},
	{"FIRSTTOUCH_ARENAS", "glob patterns of the arena names to profile, separated by ':'; '*'", (*config).parseArenas},
	{"FIRSTTOUCH_GOHEAP", "share of the Go heap to profile: false, 1/N or all; false", (*config).parseGoHeap},
	{"FIRSTTOUCH_GRANULE", "bytes that one fault resolves, a power of two such as 4096, 64KiB or 2MiB; the page size", (*config).parseGranule},
	{"FIRSTTOUCH_STACKS", "faults whose stack is taken: all, none, 1/N or N/s; 1000/s", (*config).parseStacks},
	{"FIRSTTOUCH_BUDGET", "what the profiler may cost: N% of one processor, or N/s first touches; off", (*config).setBudget},
	{"FIRSTTOUCH_DEBUG_ADDR", "host:port of the debug endpoint, ':port' is loopback only; not listening", (*config).setDebugAddr},
	{"FIRSTTOUCH_TOKEN", "secret that requests to the endpoints must bring (Authorization: Bearer), 16 characters or more; none", (*config).setToken},
	{"FIRSTTOUCH_ADVICE", "true lets requests give the kernel advice about observed memory (madvise); false", (*config).parseAdvice},
	{"FIRSTTOUCH_DELIVERY", "how a first touch reaches the profiler: thread, signal (which costs less, and serves no system calls), observe (which arms nothing, and sees the kernel's page faults), or auto, the best of them that is safe here; auto", (*config).parseDelivery},
	{"FIRSTTOUCH_ALLOW_FAILING_SYSTEM_CALLS", "true profiles also where write, send, read, open and futex fail with EFAULT when they are handed memory not yet touched (user mode only); false", (*config).parseFailing},
	{"FIRSTTOUCH_STOP_LIMIT", "for how long one operation may stop all other threads, a duration of 1ms to 10s; 20ms", (*config).parseStopLimit},
	{"FIRSTTOUCH_WINDOWS", "how often the regions are armed again, for working sets by time, a duration of 100ms or more such as 10s; never", (*config).parseWindows},
	{"FIRSTTOUCH_RECORD_DIR", "directory for recordings; none", (*config).setRecordDir},
	{"FIRSTTOUCH_RECORD_SLOW", "write a recording when a request with first touches takes that long, such as 200ms; never", (*config).parseRecordSlow},
	{"FIRSTTOUCH_PREFETCH", "order file whose ranges are read into the page cache at the start, or learn:DIR, which learns them from the starts before; none", (*config).setPrefetch},
	{"FIRSTTOUCH_REQUIRED", "true makes it an error when the system refuses to be profiled; false", (*config).parseRequired},
	{"FIRSTTOUCH_SHADOW", "true finds what would be armed, says what it would cost, and arms nothing; false", (*config).parseShadow},
	{"FIRSTTOUCH_DISABLED", "true makes the agent do nothing; false", (*config).parseDisabled},
}

// fromEnviron applies the variables among environ ("NAME=value") to c. An empty value is the same
// as none. It reports every bad value at once, and returns a note for each variable with our
// prefix that is no setting, which is most often a misspelt one.
func (c *config) fromEnviron(environ []string) (notes []string, err error) {
	var errs []error
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		// What the project's own tests are set with is no misspelt setting: a test that starts an agent inherits it.
		if !strings.HasPrefix(name, prefix) || strings.HasPrefix(name, prefix+"TEST_") || value == "" {
			continue
		}
		s := settingOf(name)
		if s == nil {
			notes = append(notes, fmt.Sprintf("the variable %s is no setting of firsttouch and has no effect: %s", name, meant(name)))
			continue
		}
		if err := s.set(c, value); err != nil {
			errs = append(errs, fmt.Errorf("%s=%q: %w", name, value, err))
		}
	}
	return notes, errors.Join(errs...)
}

func settingOf(name string) *setting {
	for i := range settings {
		if settings[i].variable == name {
			return &settings[i]
		}
	}
	return nil
}

// meant names the setting that is most like a name, or all of them where none is.
func meant(name string) string {
	best, least := "", len(name)/3 // more of it wrong is another word
	for _, s := range settingNames() {
		if d := editDistance(name, s); d <= least {
			best, least = s, d-1
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "the settings are " + strings.Join(settingNames(), ", ")
}

// editDistance counts the letters to insert, delete or replace to make b of a (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func settingNames() []string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.variable
	}
	return names
}
