package agent

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Status says in a line what the agent does now: what it observes and where its page is, or why it does nothing. It is fit for a log.
func (a *Agent) Status() string {
	if a.prof == nil {
		return "firsttouch does nothing: " + a.Reason()
	}
	if !a.observes() {
		return "firsttouch was " + a.Reason()
	}
	text := "firsttouch observes nothing yet"
	if regions := a.owned(); len(regions) > 0 {
		size, late, latest := int64(0), time.Duration(0), ""
		for _, r := range regions {
			size += a.prof.RegionSize(r.ID())
			if unseen := a.prof.RegionUnseen(r.ID()); unseen > late {
				late, latest = unseen, r.Name()
			}
		}
		text = fmt.Sprintf("firsttouch observes %s of %d KiB", count(len(regions), "region"), size>>10)
		if late > 0 {
			text += fmt.Sprintf(", found %v late at most (%s)", late.Round(time.Millisecond), latest)
		}
	}
	switch n := len(a.cfg.files); {
	case n > 0 && !a.lookout.looked():
		text += fmt.Sprintf("; mappings were not looked at yet for %s of files", count(n, "pattern"))
	case n > 0:
		text += fmt.Sprintf("; %d of %s of files matched", a.lookout.matched(), count(n, "pattern"))
	}
	if every := a.looksOnly(); every > 0 {
		text += fmt.Sprintf("; looked only every %v", every)
	}
	if addr := a.DebugAddr(); addr != nil {
		text += fmt.Sprintf("; page: http://%v%s", addr, basePath)
	}
	return text
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// quietFor is how long an agent may observe nothing before that is worth a note: a service makes its caches and opens its files
// first.
const quietFor = time.Second

// silence is the note of an agent that observes nothing, with what it could observe; empty where it observes something, or has not
// been there for long.
func (a *Agent) silence() string {
	if !a.observes() || time.Since(a.started) < quietFor || len(a.owned()) > 0 || len(a.prof.Snapshot().Regions) > 0 {
		return ""
	}
	text := "nothing is observed: "
	switch {
	case len(a.cfg.files) == 0:
		text += "no file is named (FIRSTTOUCH_FILES or WithFiles), and "
	case !a.lookout.looked():
		text += "the mappings of this process were not looked at yet, and "
	default:
		text += "no mapping matches, and "
	}
	return text + "the service made no memory with Agent.Arena; " + observable(a.failing != "")
}

// listed bounds the files that a hint names.
const listed = 5

// literal makes a pattern of a path that matches it alone.
var literal = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// observable names the mapped files that could be observed, with the setting to copy. careful: but for those that can be
// written to, where a mutex may lie on which system calls would fail.
func observable(careful bool) string {
	files, err := mappedFiles()
	if err != nil {
		return fmt.Sprintf("which files are mapped cannot be read: %v", err)
	}
	var paths []string
	for f, as := range files {
		if (as.Readable || as.Writable) && !(careful && as.Writable) && !as.Code && !strings.HasSuffix(f.Path, deleted) && !strings.HasPrefix(f.Path, "/dev/") {
			paths = append(paths, literal.Replace(f.Path))
		}
	}
	if len(paths) == 0 {
		return "no shared mapping of a file is there now that could be observed"
	}
	slices.Sort(paths)
	rest := ""
	if n := len(paths) - listed; n > 0 {
		paths, rest = paths[:listed], fmt.Sprintf(" and %d more", n)
	}
	return "mapped now and to be observed with FIRSTTOUCH_FILES='" + strings.Join(paths, string(filepath.ListSeparator)) + "'" + rest
}
