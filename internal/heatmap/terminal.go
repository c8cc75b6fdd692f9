package heatmap

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/plain"
)

// ramp are characters from empty to full; it needs no color.
var ramp = []rune(" .:-=+*#%@")

// level is the place of a value on a logarithmic scale of n steps; 0 is for 0 alone.
func (g *Grid) level(v int64, n int) int {
	if v <= 0 {
		return 0
	}
	if g.Max <= 1 {
		return n - 1
	}
	return 1 + int(math.Log(float64(v))/math.Log(float64(g.Max))*float64(n-2)+1e-9)
}

// WriteText draws the grid with characters, and in colors where they are wanted.
func (g *Grid) WriteText(w io.Writer, colors bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "First touches of %s by place and time; %s\n\n", plain.Line(filepath.Base(g.Region)), g.legend())
	for row := g.Rows - 1; row >= 0; row-- {
		label := ""
		if row == g.Rows-1 || row == 0 || (g.Rows-1-row)%5 == 0 {
			label = summary.Bytes(g.place(row))
		}
		fmt.Fprintf(&b, "%9s |", label)
		for _, v := range g.Cells[row] {
			if colors && v > 0 {
				c := palette[g.level(v, len(palette)+1)-1]
				fmt.Fprintf(&b, "\x1b[48;2;%d;%d;%dm \x1b[0m", c[0], c[1], c[2])
				continue
			}
			b.WriteRune(ramp[g.level(v, len(ramp))])
		}
		b.WriteString("\n")
	}
	from, to := summary.Duration(g.From), summary.Duration(g.To)
	fmt.Fprintf(&b, "%9s +%s\n%9s  %s%*s\n", "offset", strings.Repeat("-", g.Columns), "time", from, max(g.Columns-len([]rune(from)), 0), to)
	if g.Missing > 0 {
		fmt.Fprintf(&b, "\n%s more first touches of it are known in number only.\n", summary.Count(g.Missing))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// place is the offset at which a row begins.
func (g *Grid) place(row int) int64 { return int64(float64(g.High) / float64(g.Rows) * float64(row)) }

// legend says what a cell is.
func (g *Grid) legend() string {
	size, width := summary.Bytes(g.High/int64(g.Rows)), summary.Duration((g.To-g.From)/time.Duration(g.Columns))
	text := fmt.Sprintf("a cell is %s by %s, the fullest has %s", size, width, g.show(g.Max))
	if g.Quiet > (g.To-g.From)/10 {
		text += fmt.Sprintf("; no first touch in the %s after it", summary.Duration(g.Quiet))
	}
	return text
}

// show writes a value of a cell.
func (g *Grid) show(v int64) string {
	if g.Value == Stall {
		return summary.Duration(time.Duration(v)) + " of stall"
	}
	if v == 1 {
		return "1 fault"
	}
	return summary.Count(v) + " faults"
}
