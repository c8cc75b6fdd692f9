package report

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Table is a titled table with columns in line: text to the left, numbers to the right.
type Table struct {
	title string
	w     table.Writer
}

// Left and Right name a column and say how it is aligned.
type (
	Left  string
	Right string
)

// NewTable makes a table of Left and Right columns.
func NewTable(title string, columns ...any) *Table {
	t := &Table{title: title, w: table.NewWriter()}
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "  ", ""
	t.w.SetStyle(style)
	t.w.SuppressTrailingSpaces()
	row := make(table.Row, len(columns))
	configs := make([]table.ColumnConfig, len(columns))
	for i, c := range columns {
		align := text.AlignLeft
		if _, ok := c.(Right); ok {
			align = text.AlignRight
		}
		row[i] = fmt.Sprint(c)
		configs[i] = table.ColumnConfig{Number: i + 1, Align: align, AlignHeader: align}
	}
	t.w.AppendHeader(row)
	t.w.SetColumnConfigs(configs)
	return t
}

// Row adds a row with a cell for each column.
func (t *Table) Row(cells ...string) {
	row := make(table.Row, len(cells))
	for i, c := range cells {
		row[i] = c
	}
	t.w.AppendRow(row)
}

// Write prints the title, the rows and an empty line. A table without rows is left out.
func (t *Table) Write(w io.Writer) error {
	if t.w.Length() == 0 {
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
	_, err := fmt.Fprintf(w, "%s\n%s\n", t.title, t.w.Render())
	return err
}
