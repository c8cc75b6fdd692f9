package report

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
)

// RenderWorkingSets writes the windows of each region, the last most of them, and what follows from them.
func RenderWorkingSets(w io.Writer, sets []WorkingSet, most int) error {
	var errs []error
	for _, s := range sets {
		errs = append(errs, renderWindowsOf(w, s, most), renderCurve(w, s), renderMisses(w, s))
	}
	return errors.Join(errs...)
}

// explain writes how to read the table above it.
func explain(w io.Writer, t *Table, text string) error {
	if err := t.write(w); err != nil {
		return err
	}
	_, err := io.WriteString(w, "  "+text+"\n\n")
	return err
}

func renderWindowsOf(w io.Writer, s WorkingSet, most int) error {
	list := s.Windows[max(0, len(s.Windows)-most):]
	title := fmt.Sprintf("Working set of %s by window", shorten(filepath.Base(s.Region), nameWidth))
	if left := len(s.Windows) - len(list); left > 0 {
		title += fmt.Sprintf(" (%s earlier ones are not listed)", Count(left))
	}
	t := NewTable(title, Right("from"), Right("to"), Right("touched"), Right("of mapped"), Right("new"), Right("used again"), Right("disk again"),
		Right("last 10 s"), Right("idle 30 s"), Right("never"), Left("phase"))
	var last string // why the last window that is not known is not
	for _, x := range list {
		cells := []string{Duration(x.From), Duration(x.To)}
		if x.Error != "" {
			last = x.Error
			t.Row(append(cells, "?", "?", "?", "?", "?", "?", "?", "?", "not known")...)
			continue
		}
		t.Row(append(cells, Bytes(x.Touched), Percent(ratio(x.Touched, x.Mapped)), Bytes(x.New), Bytes(x.Reused), Bytes(x.Reread),
			sizeOrNone(x.Touched10s), sizeOrNone(x.Idle30s), Bytes(x.Never), string(x.Phase))...)
	}
	if len(list) == 0 {
		return nil
	}
	text := "Touched is all that was used in the window; what is new was not used in any before. Idle was used, and not for so long; never is what the region could do without."
	if last != "" {
		text += "\n  Not known: " + last
	}
	return explain(w, t, text)
}

// sizeOrNone is a size, or a dash for one that is not known yet.
func sizeOrNone(n int64) string {
	if n < 0 {
		return "-"
	}
	return Bytes(n)
}

func renderCurve(w io.Writer, s WorkingSet) error {
	if len(s.Curve) == 0 {
		return nil
	}
	t := NewTable("Its size by length of the window", Right("windows"), Right("length"), Right("touched, mean"))
	for _, p := range s.Curve {
		t.Row(strconv.Itoa(p.Windows), Duration(p.Length), Bytes(p.Bytes))
	}
	return explain(w, t, "Where the size stops growing with the length, that much memory is enough for so long a time.")
}

func renderMisses(w io.Writer, s WorkingSet) error {
	if len(s.Misses) == 0 {
		return nil
	}
	t := NewTable(fmt.Sprintf("First touches that a cache would miss (%s of the granules followed)", Percent(s.Sample)),
		Right("cache"), Right("misses"), Right("± error"))
	const all = 0.995 // of the small sizes, with which everything is missed, one row will do
	for i, p := range s.Misses {
		if i+1 < len(s.Misses) && s.Misses[i+1].Miss >= all {
			continue
		}
		e := Percent(p.Error)
		if s.Sample >= 1 {
			e = "exact"
		}
		t.Row(Bytes(p.Bytes), Percent(p.Miss), e)
	}
	return explain(w, t, "Of the first touches per window, least recently used memory given up first. What is used again within a window is not counted, so it is an upper bound for all accesses.")
}
