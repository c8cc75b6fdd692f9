package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Table is a titled table with columns in line: text to the left, numbers to the right.
type Table struct {
	title   string
	columns []column
	rows    [][]string
	more    int // rows that are not shown
}

type column struct {
	name  string
	align text.Align
	spare bool
}

// A table has as many rows as a person reads, and cells as wide.
const (
	rowsMost = 1000
	cellMost = 500
)

// shorten cuts a third from the start out of a text that is too long: of a function the package stays, and of a path the end.
func shorten(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	const dots = "..."
	start := max(width-len(dots), 0) / 3
	return string(r[:start]) + dots + string(r[len(r)-max(width-len(dots)-start, 0):])
}

// Left and Right name a column and say how it is aligned.
type (
	Left  string
	Right string
)

// Spare is a Left or Right column that a narrow Screen can do without. The last one of a table goes first.
type Spare struct{ Column any }

// The least that is left of a column of text whose cells are cut, and what is between two columns.
const (
	leastWidth = 16
	padding    = 2
)

// NewTable makes a table of Left, Right and Spare columns.
func NewTable(title string, columns ...any) *Table {
	t := &Table{title: title}
	for _, c := range columns {
		spare, ok := c.(Spare)
		if ok {
			c = spare.Column
		}
		align := text.AlignLeft
		if _, ok := c.(Right); ok {
			align = text.AlignRight
		}
		t.columns = append(t.columns, column{fmt.Sprint(c), align, ok})
	}
	return t
}

// Row adds a row with a cell for each column. Names in it have to be lines already, see package plain.
func (t *Table) Row(cells ...string) {
	if len(t.rows) == rowsMost {
		t.more++
		return
	}
	for i, c := range cells {
		cells[i] = shorten(c, cellMost)
	}
	t.rows = append(t.rows, cells)
}

// Write prints the title, the rows and an empty line. A table without rows is left out. On a Screen it leaves out the spare
// columns that have no room, says which, and cuts long names.
func (t *Table) Write(w io.Writer) error {
	if len(t.rows) == 0 {
		return nil
	}
	if err := t.write(w); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// write prints the title and the rows.
func (t *Table) write(w io.Writer) error {
	fitting, dropped := t, []string(nil)
	if s, ok := w.(*Screen); ok {
		fitting, dropped = t.fit(s.Columns)
	}
	body := t.title + "\n" + fitting.render() + "\n"
	if t.more > 0 {
		body += "  and " + summary.Count(t.more) + " more rows\n"
	}
	if len(dropped) > 0 {
		body += "  (no room for: " + strings.Join(dropped, ", ") + ")\n"
	}
	_, err := io.WriteString(w, body)
	return err
}

func (t *Table) render() string {
	w := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = strings.Repeat(" ", padding), ""
	w.SetStyle(style)
	w.SuppressTrailingSpaces()
	var header table.Row
	var configs []table.ColumnConfig
	for i, c := range t.columns {
		header = append(header, c.name)
		configs = append(configs, table.ColumnConfig{Number: i + 1, Align: c.align, AlignHeader: c.align})
	}
	w.AppendHeader(header)
	w.SetColumnConfigs(configs)
	for _, cells := range t.rows {
		row := make(table.Row, len(cells))
		for i, c := range cells {
			row[i] = c
		}
		w.AppendRow(row)
	}
	return w.Render()
}

// fit makes a table of at most so many columns of characters, if that can be had, and names what it left out.
func (t *Table) fit(width int) (*Table, []string) {
	out := &Table{title: t.title, columns: slices.Clone(t.columns)}
	for _, r := range t.rows {
		out.rows = append(out.rows, slices.Clone(r))
	}
	var dropped []string
	for out.width() > width {
		// Names are cut to the half of what they are before a column goes, and to the least after that.
		if out.cut(width, 2*leastWidth) {
			break
		}
		i := len(out.columns) - 1
		for i >= 0 && !out.columns[i].spare {
			i--
		}
		if i < 0 {
			out.cut(width, leastWidth)
			break
		}
		dropped = append(dropped, out.columns[i].name)
		out.columns = slices.Delete(out.columns, i, i+1)
		for r := range out.rows {
			out.rows[r] = slices.Delete(out.rows[r], i, i+1)
		}
	}
	slices.Reverse(dropped)
	return out, dropped
}

// widths are those of the columns, and width is what all of them take.
func (t *Table) widths() []int {
	list := make([]int, len(t.columns))
	for i, c := range t.columns {
		list[i] = text.StringWidthWithoutEscSequences(c.name)
		for _, r := range t.rows {
			list[i] = max(list[i], text.LongestLineLen(r[i]))
		}
	}
	return list
}

func (t *Table) width() (sum int) {
	for _, w := range t.widths() {
		sum += w + padding
	}
	return sum
}

// cut shortens the cells of the widest columns of text, none to less than least, and reports whether the table fits then. Where it does
// not, the cells stay.
func (t *Table) cut(width, least int) bool {
	widths := t.widths()
	over := t.width() - width
	for over > 0 {
		widest := -1
		for i, c := range t.columns {
			if c.align == text.AlignLeft && widths[i] > least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return false
		}
		widths[widest]--
		over--
	}
	for i, c := range t.columns {
		for _, r := range t.rows {
			if c.align == text.AlignLeft {
				r[i] = shorten(r[i], widths[i])
			}
		}
	}
	return true
}
