//go:build linux && (amd64 || arm64)

package hazards

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const pagePath = root + "/docs/hazards.md"

// page is docs/hazards.md: the cells that were seen last, and on what.
type page struct {
	machine string
	cells   map[string]verdict // by delivery, hazard and GOMAXPROCS
}

func key(delivery, hazard string, procs int) string {
	return fmt.Sprint(delivery, "|", hazard, "|", procs)
}

func (p *page) set(delivery, hazard string, procs int, v verdict) {
	p.cells[key(delivery, hazard, procs)] = v
	p.machine = machine()
}

func machine() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	user := "an ordinary user"
	if os.Getuid() == 0 {
		user = "root"
	}
	return fmt.Sprintf("Linux %s, %s, %s, %d processors, as %s",
		unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]), runtime.Version(), runtime.NumCPU(), user)
}

const machineLine = "Seen on "

// readPage reads the cells of the page, so that a part of the matrix can be run.
func readPage(t *testing.T) *page {
	t.Helper()
	p := &page{cells: map[string]verdict{}}
	text, err := os.ReadFile(pagePath)
	if err != nil {
		return p
	}
	delivery := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "## Delivery by "); ok {
			delivery = name
		}
		if m, ok := strings.CutPrefix(line, machineLine); ok {
			p.machine = strings.TrimSuffix(m, ".")
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) != 3+len(processors) || cells[0] == "hazard" {
			continue
		}
		for i, n := range processors {
			p.cells[key(delivery, cells[0], n)] = verdict{result: cells[2+i], seen: cells[len(cells)-1]}
		}
	}
	return p
}

const head = `# Hazards

What could make a profiled process hang, crash, lose data or be counted wrongly, what is expected of it, and what
was seen, with GOMAXPROCS of 1, 2 and 8. Each cell is a test in a process of its own with a time budget, during
garbage collections without a pause where they matter. This page is made from the tests, by

    go test ./e2e/hazards -timeout 1h -matrix -update

and ` + "`go test ./...`" + ` holds that it has every hazard that is known, and runs each test once.
"Not possible here" is what a probe of the machine answered, which the last column quotes.

`

const tail = `
## Cells that are not as expected

None. Delivery by signal is for arenas and files on disk, and serves no system calls: "not possible here" says so
where that is what a test is about.

## Soak

` + "`go run ./bench/soak -minutes 20`" + ` at commit 1bae470, as root on Linux 6.18, on two processors that a virtual machine and tests kept
busy too, at a lower priority than those. By thread: 31 windows of 4,000 pages in 9 regions (arena, mapped and attached file, private and
shared memory, both with writes alone as well, huge pages, Go heap), 916,264 faults, 47 stacks missed and counted. By signal, in a process
of its own at the same time: 193 windows of 3 regions (arena, mapped and attached file), 2,340,000 faults. Every page once in each window,
contents intact, none dropped. Earlier runs had ended with one first touch missing: a record was counted as dropped where there was room, which is
mended (` + "`TestClaimsThatFitAreNotDropped`" + `).

## What could not be made

- A disk that answers late and then not at all: errors come from a file system in a file that was cut short, so at once.
- More than two processors.
`

// render makes the page.
func (p *page) render() string {
	var b strings.Builder
	b.WriteString(head)
	fmt.Fprintf(&b, "%s%s.\n", machineLine, p.machine)
	for _, d := range deliveries {
		fmt.Fprintf(&b, "\n## Delivery by %s\n\n| hazard | expected |", d.name)
		for _, n := range processors {
			fmt.Fprintf(&b, " GOMAXPROCS=%d |", n)
		}
		b.WriteString(" seen |\n|---|---|" + strings.Repeat("---|", len(processors)+1) + "\n")
		for _, h := range hazards {
			fmt.Fprintf(&b, "| %s | %s |", h.name, h.want)
			seen := ""
			for _, n := range processors {
				v, ok := p.cells[key(d.name, h.name, n)]
				switch {
				case h.threadOnly() != "" && d.name != "thread":
					v = verdict{result: "-", seen: h.threadOnly()}
				case !ok:
					v.result = unseen
				}
				if v.seen != "" {
					seen = v.seen
				}
				fmt.Fprintf(&b, " %s |", v.result)
			}
			fmt.Fprintf(&b, " %s |\n", cell(seen, h.test))
		}
	}
	b.WriteString(tail)
	return b.String()
}

func (p *page) write(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(pagePath, []byte(p.render()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// cell is what was seen, or which test holds it.
func cell(seen, test string) string {
	if seen == "" {
		return "`" + test + "`"
	}
	return strings.NewReplacer("|", "/", "\n", " ").Replace(seen)
}
