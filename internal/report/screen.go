package report

import (
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

// Screen is a terminal of so many columns. Tables that are written to it fit, and lines of text are wrapped between words, with the
// indentation of the line that they go on.
type Screen struct {
	W       io.Writer
	Columns int
}

// Prompt begins a command to copy. A Screen does not wrap its line: the terminal does, and then copies it as one.
const Prompt = "$ "

// Write writes whole lines: text without its line's end counts as a line.
func (s *Screen) Write(b []byte) (int, error) {
	lines := strings.SplitAfter(string(b), "\n")
	var out strings.Builder
	for _, l := range lines {
		body, ended := strings.CutSuffix(l, "\n")
		s.wrap(&out, body)
		if ended {
			out.WriteByte('\n')
		}
	}
	if _, err := io.WriteString(s.W, out.String()); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (s *Screen) wrap(out *strings.Builder, line string) {
	if text.StringWidthWithoutEscSequences(line) <= s.Columns || strings.HasPrefix(strings.TrimLeft(line, " "), Prompt) {
		out.WriteString(line)
		return
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	if indent != "" {
		indent += "  "
	}
	used := 0
	for i, word := range strings.Split(line, " ") {
		width := text.StringWidthWithoutEscSequences(word)
		switch {
		case i == 0:
		case used+1+width > s.Columns && used > len(indent):
			out.WriteString("\n" + indent)
			used = len(indent)
		default:
			out.WriteByte(' ')
			used++
		}
		out.WriteString(word)
		used += width
	}
}
