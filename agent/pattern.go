package agent

import (
	"path/filepath"
	"strings"
)

// pattern is one glob of files. The kernel shows the path of a mapping without symbolic links, and
// users write paths with them: so the part of the pattern before its first special character is
// followed through the links as well.
type pattern struct {
	text     string // as configured, absolute
	resolved string // the same through symbolic links, or empty
	matched  bool
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
		// The syntax was checked when it was configured.
		if ok, err := filepath.Match(text, path); ok && err == nil {
			return true
		}
	}
	return false
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
