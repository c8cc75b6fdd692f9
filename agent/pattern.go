package agent

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/firsttouch/firsttouch/profiler"
)

// pattern is one glob of files. The kernel shows the path of a mapping without symbolic links, and
// users write paths with them: so the part of the pattern before its first special character is
// followed through the links as well.
type pattern struct {
	text     string // as configured, absolute
	resolved string // the same through symbolic links, or empty
	matched  bool

	alone map[string]bool // paths that are groups of their own, see GroupAuto
}

// resolve follows the links anew, since the directory may have been made or moved meanwhile.
func (p *pattern) resolve() {
	fixed, rest := p.text, ""
	if i := strings.IndexAny(p.text, `*?[\`); i >= 0 {
		slash := strings.LastIndexByte(p.text[:i], '/')
		if slash <= 0 {
			return
		}
		fixed, rest = p.text[:slash], p.text[slash:]
	}
	p.resolved = ""
	if real, err := filepath.EvalSymlinks(fixed); err == nil && real != fixed {
		p.resolved = escapeGlob(real) + rest
	}
}

func (p *pattern) matches(path string) bool {
	for _, text := range []string{p.text, p.resolved} {
		if matchPath(text, path) {
			return true
		}
	}
	return false
}

// anyDirectories is the element of a pattern that stands for directories, as many as there are.
const anyDirectories = "**"

// matchPath is filepath.Match, in which an element ** stands for any number of directories, also for none. The syntax was
// checked when it was configured.
func matchPath(pattern, path string) bool {
	want := elements(pattern)
	if want == nil {
		ok, err := filepath.Match(pattern, path)
		return ok && err == nil
	}
	have := strings.Split(path, "/")
	// Only the last ** may have to take more: what the ones before it took is as little as can be.
	i, j, star, from := 0, 0, -1, 0
	for j < len(have) {
		switch {
		case i < len(want) && want[i] == anyDirectories:
			star, from = i, j
			i++
			continue
		case i < len(want):
			if ok, err := filepath.Match(want[i], have[j]); ok && err == nil {
				i, j = i+1, j+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		from++
		i, j = star+1, from
	}
	for i < len(want) && want[i] == anyDirectories {
		i++
	}
	return i == len(want)
}

// elements are those of a pattern with a **, and nil of any other: most have none, and each file of each look is compared.
func elements(pattern string) []string {
	if !strings.Contains(pattern, anyDirectories) {
		return nil
	}
	if all := strings.Split(pattern, "/"); slices.Contains(all, anyDirectories) {
		return all
	}
	return nil
}

// checkPattern says what is wrong with a pattern of paths.
func checkPattern(pattern string) error {
	parts := elements(pattern)
	if parts == nil {
		parts = []string{pattern}
	}
	for _, e := range parts {
		if _, err := filepath.Match(e, ""); err != nil {
			return fmt.Errorf("%w: %q is not a pattern: close every '[', and put '\\' in front of a special character of a name", profiler.ErrInvalid, pattern)
		}
	}
	return nil
}

// isPath reports whether the pattern is the path of one file: without *, ? and [, but where a \ makes them plain.
func (p *pattern) isPath() bool {
	plain := strings.NewReplacer(`\\`, "", `\*`, "", `\?`, "", `\[`, "").Replace(p.text)
	return !strings.ContainsAny(plain, "*?[")
}

// escapeGlob makes a pattern that matches exactly the path.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
