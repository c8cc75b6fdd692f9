package main

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// table is one of Markdown, aligned for those who read the file itself.
type table struct {
	head  []string
	lines [][]string
}

func (t *table) add(line ...string) { t.lines = append(t.lines, line) }

func (t *table) write(b *bytes.Buffer) {
	width := make([]int, len(t.head))
	for _, line := range append([][]string{t.head}, t.lines...) {
		for i, text := range line {
			width[i] = max(width[i], utf8.RuneCountInString(escape(text)), 3)
		}
	}
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = strings.Repeat("-", width[i])
	}
	for _, line := range append([][]string{t.head, rule}, t.lines...) {
		for i, text := range line {
			text = escape(text)
			b.WriteString("| " + text + strings.Repeat(" ", width[i]-utf8.RuneCountInString(text)+1))
		}
		b.WriteString("|\n")
	}
}

// escape keeps a text from ending its column.
func escape(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
