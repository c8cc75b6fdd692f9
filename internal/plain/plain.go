// Package plain makes text that others chose fit for where it goes: names of files and functions, paths of URLs, and
// reasons may hold any bytes, and a remote client chooses some of them.
package plain

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Valid returns s as UTF-8, with each byte that is none as \xNN. Different texts stay different as a rule.
func Valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// lineMost is how much of a text a line shows: more is no name.
const lineMost = 4 << 10

// Line returns s as one line that a terminal shows as it is: what is not printable (control characters and
// escape sequences, line ends, invisible characters, and those that change the direction of what follows) is escaped as
// in JSON, and what is too long is cut.
func Line(s string) string {
	if len(s) > lineMost {
		return escape(Cut(s, lineMost), false) + "..."
	}
	return escape(s, false)
}

// Cut returns the start of s of at most n bytes, which ends with a whole character.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// harmless reports whether all of a text may be shown.
func harmless(s string, lines bool) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < ' ' || c > '~') && (!lines || c != '\n' && c != '\t') {
			return false
		}
	}
	return true
}

func escape(s string, lines bool) string {
	if harmless(s, lines) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case lines && (r == '\n' || r == '\t'), unicode.IsPrint(r):
			b.WriteString(s[i : i+n])
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
	}
	return b.String()
}

// Writer returns a writer to a terminal that lets through what is printable, tabs and line ends. It is the last guard: a
// name with a line end in it has to be made a Line before. In JSON what it escapes means the same. It is safe for
// concurrent use.
func Writer(w io.Writer) io.Writer { return &writer{w: w} }

type writer struct {
	w    io.Writer
	mu   sync.Mutex // guards what follows, and the order
	rest []byte     // of a character that ends in the next Write
}

func (w *writer) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := append(w.rest, b...)
	w.rest = nil
	for i := max(len(text)-utf8.UTFMax+1, 0); i < len(text); i++ {
		if utf8.RuneStart(text[i]) && !utf8.FullRune(text[i:]) {
			text, w.rest = text[:i:i], bytes.Clone(text[i:])
			break
		}
	}
	if _, err := io.WriteString(w.w, escape(string(text), true)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Raw returns what is behind a Writer, for bytes that are our own, such as colors, or no text.
func Raw(w io.Writer) io.Writer {
	if p, ok := w.(*writer); ok {
		return p.w
	}
	return w
}
