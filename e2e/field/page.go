package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	svc "github.com/firsttouch/firsttouch/e2e/field/service"
	"golang.org/x/sys/unix"
)

const (
	resultsPath = "results.json" // what the page is made from, so that a part of it can be run again
	pagePath    = "../../docs/field.md"
)

// page is docs/field.md: the cells that were seen last.
type page struct {
	Machine string
	Cells   []cell
	Soaks   []soaked
}

func readPage() (*page, error) {
	p := &page{}
	text, err := os.ReadFile(resultsPath)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("%s: %w", resultsPath, err)
	}
	return p, nil
}

// set puts a cell in the place of that of the same run.
func (p *page) set(c cell) {
	p.Machine = machine()
	p.Cells = slices.DeleteFunc(p.Cells, func(old cell) bool { return old.Service == c.Service && old.key == c.key })
	p.Cells = append(p.Cells, c)
}

func (p *page) setSoak(s soaked) {
	p.Soaks = slices.DeleteFunc(p.Soaks, func(old soaked) bool { return old.Service == s.Service })
	p.Soaks = append(p.Soaks, s)
}

func machine() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	load, _ := os.ReadFile("/proc/loadavg")
	minute, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("Linux %s, %s, %s, %d processors with a load average of %s", unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]), runtime.Version(), runtime.NumCPU(), minute)
}

// commitNow is what the working tree is at.
func commitNow(ctx context.Context) string {
	out, _ := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output()
	return strings.TrimSpace(string(out))
}

func order(s string) int {
	return slices.IndexFunc(services, func(x service) bool { return x.name == s })
}

func (p *page) write() error {
	slices.SortFunc(p.Cells, func(a, b cell) int {
		return cmp.Or(cmp.Compare(order(a.Service), order(b.Service)), cmp.Compare(slices.Index(allLoads, a.Load), slices.Index(allLoads, b.Load)),
			cmp.Compare(a.User, b.User), cmp.Compare(slices.Index(allModes, a.Mode), slices.Index(allModes, b.Mode)))
	})
	var b bytes.Buffer
	line := func(v any, last bool) error {
		text, err := json.Marshal(v)
		b.Write(text)
		if !last {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		return err
	}
	var errs []error
	fmt.Fprintf(&b, "{\"Machine\": %q, \"Cells\": [\n", p.Machine)
	for i, c := range p.Cells {
		errs = append(errs, line(c, i == len(p.Cells)-1))
	}
	b.WriteString("], \"Soaks\": [\n")
	for i, s := range p.Soaks {
		errs = append(errs, line(s, i == len(p.Soaks)-1))
	}
	b.WriteString("]}\n")
	return errors.Join(append(errs, os.WriteFile(resultsPath, b.Bytes(), 0o644), os.WriteFile(pagePath, []byte(p.render()), 0o644))...)
}

const head = `# In the field

Services over other people's libraries, unmodified, with and without the profiler: whether their answers stay right, and whether what the
profiler says of them is true. This page is made by

    cd e2e/field && go run . -update

as root, from the programs in [e2e/field](../e2e/field). ` + "`go run . -quick`" + ` runs a part of it, and waits until mappings are found, as ` + "`.ci/run field`" + ` does; names behind it
choose services.

Each service is started for each cell with data of its own, opens it, waits %v, asks its questions, does what replaces its
files (a compaction, a new version), waits and asks again, takes the profiler off, and asks once more. The variables of the agent
are all that differs: by thread (the default), by signal, with a budget of 200 first touches a second, and with a window each
200 ms; the last two ask for a second. "User" is an ordinary user, who allows system calls to fail. "Busy" has a busy loop for each
processor beside it, "half" is a control group with half a processor.

- *Answers* are right where their digests are those of the run without the profiler, all three times.
- *Pages seen of pages known*: the files lie in a file system of their own, whose device reads nothing ahead, and are taken out of the
  page cache before. What mincore(2), through another process's mapping, finds there after the questions and not before them was touched by
  them. The profiler has to have seen each of these pages, and may name no page that is not in the page cache. Of memory without a file
  the kernel says, without the profiler, how many pages were touched since the first question (clear_refs and "Referenced" in /proc/self/smaps). With a budget it sees a sample, and the estimate with its standard error stands
  beside it; that counts all touched pages, those that were in the page cache before too.
- *Mappings found* when the first question was asked, of those that the kernel listed at that moment without the profiler, and how
  long after the opening the last one was observed.
- *Dropped* are records that were lost.
- *×* is how many times as much processor time the process took for the first round of questions, both times added up, as without
  the profiler under the same load. Every page of them is cold.

A cell with something else than expected is bold, with what it is below the table. Where the load average is far above the number of
processors, other work was there too, and "quiet" stands for a priority before it (nice -10).

`

func (p *page) render() string {
	var b strings.Builder
	fmt.Fprintf(&b, head, svc.Wait)
	var commits []string
	for _, c := range p.Cells {
		commits = append(commits, c.Commit)
	}
	slices.Sort(commits)
	fmt.Fprintf(&b, "Seen on %s, at commit %s.\n\n", p.Machine, strings.Join(slices.Compact(commits), ", "))
	b.WriteString("| service | library | runs | as expected | not, through no fault of the profiler | not |\n|---|---|---|---|---|---|\n")
	for i := range services {
		s := &services[i]
		runs, excused, red := 0, 0, 0
		for _, c := range p.Cells {
			if c.Service != s.name {
				continue
			}
			runs++
			switch {
			case len(c.Red) == 0:
			case s.excuse(c.key) != "":
				excused++
			default:
				red++
			}
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %d | %d | %d | %d |\n", s.name, s.name, s.library(), runs, runs-excused-red, excused, red)
	}
	for i := range services {
		p.renderService(&b, &services[i])
	}
	p.renderSoak(&b)
	return b.String()
}

// library is the module that a service is over, with the version that is linked.
func (s *service) library() string {
	if s.module == "" {
		return cmp.Or(s.system, "none")
	}
	text, err := exec.Command("go", "list", "-m", "-f", "{{.Path}} {{.Version}}", s.module).Output()
	if err != nil {
		return s.module
	}
	return strings.TrimSpace(string(text))
}

func (p *page) renderService(b *strings.Builder, s *service) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| load | as |", s.name, s.about)
	for _, m := range allModes {
		fmt.Fprintf(b, " %s |", m)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(allModes)) + "\n")
	find := func(k key) *cell {
		for i := range p.Cells {
			if p.Cells[i].Service == s.name && p.Cells[i].key == k {
				return &p.Cells[i]
			}
		}
		return nil
	}
	var reds []string
	excused := map[string]bool{}
	for _, load := range allLoads {
		for _, user := range []string{"root", "user"} {
			fmt.Fprintf(b, "| %s | %s |", load, user)
			for _, m := range allModes {
				c := find(key{load, user, m})
				switch {
				case c == nil:
					b.WriteString(" not run |")
				case len(c.Red) == 0:
					fmt.Fprintf(b, " %s |", c.text())
				default:
					fmt.Fprintf(b, " **%s** |", c.text())
					why := s.excuse(c.key)
					if why == "" {
						reds = append(reds, fmt.Sprintf("- %s, as %s, %s: %s", load, user, m, strings.Join(c.Red, "; ")))
					} else if !excused[why] {
						excused[why] = true
						reds = append(reds, "- "+why)
					}
				}
			}
			b.WriteString("\n")
		}
	}
	if len(reds) > 0 {
		fmt.Fprintf(b, "\nNot as it should be:\n\n%s\n", strings.Join(reds, "\n"))
	}
	if c := find(key{quiet, "root", readAhead}); c != nil && len(c.Stages) > 0 {
		seen, known := 0, 0
		for _, st := range c.Stages {
			seen, known = seen+st.Seen, known+st.Known
		}
		fmt.Fprintf(b, "\nWith a read-ahead of %d KiB, as most devices have, %d pages came into the page cache, of which %d were touched.\n", readAheadKiB, known, seen)
	}
	var most, last time.Duration
	for _, c := range p.Cells {
		if c.Service == s.name {
			most, last = max(most, c.Start), max(last, c.Shutdown)
		}
	}
	fmt.Fprintf(b, "\nStart took %v at most, Shutdown %v.\n", most.Round(time.Millisecond), last.Round(time.Millisecond))
}
