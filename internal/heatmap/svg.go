package heatmap

import (
	"encoding/xml"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/plain"
)

// palette runs from few to many: viridis in reverse, which keeps its order in gray and for those who
// are blind to colors.
var palette = [][3]int{
	{223, 227, 24}, {149, 216, 64}, {85, 198, 103}, {41, 175, 127}, {32, 150, 140},
	{40, 125, 142}, {57, 98, 141}, {70, 68, 131}, {72, 36, 117}, {68, 1, 84},
}

// The measures of the picture, in its own units.
const (
	svgWidth, svgHeight     = 960, 560
	svgLeft, svgTop         = 90, 64
	plotWidth, plotHeight   = 780, 400
	ticksAcross, ticksAlong = 6, 5
)

// WriteSVG draws the grid as a picture that stands alone, with its meaning in words for those who
// cannot see it. It follows the theme of who looks at it.
func (g *Grid) WriteSVG(w io.Writer) error {
	var b strings.Builder
	title := "First touches of " + filepath.Base(g.Region) + " by place and time"
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="t d" font-family="system-ui, sans-serif" font-size="13">
<title id="t">%s</title>
<desc id="d">%s in %s from %s to %s after the start. Offsets from 0 to %s. %s.</desc>
<style>.p{fill:#fbfbfa}.f{fill:none;stroke:#8a9199}.i{fill:#1c1f23}.s{fill:#5c636b}.c{shape-rendering:crispEdges}
@media (prefers-color-scheme:dark){.p{fill:#14171a}.i{fill:#e7e9eb}.s{fill:#a0a8b0}.c{filter:invert(1) hue-rotate(180deg)}}</style>
<rect class="p" width="%d" height="%d"/>
<text class="i" x="%d" y="26" font-size="17" font-weight="600">%s</text>
<text class="s" x="%d" y="46">%s</text>
`, svgWidth, svgHeight, escape(title), summary.Count(g.Faults)+" faults", escape(g.Region), summary.Duration(g.From), summary.Duration(g.To),
		summary.Bytes(g.High), escape(g.legend()), svgWidth, svgHeight, svgLeft, escape(title), svgLeft, escape(g.legend()))
	g.svgCells(&b)
	g.svgAxes(&b)
	g.svgKey(&b)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// svgCells draws each run of equal cells of a row as one rectangle.
func (g *Grid) svgCells(b *strings.Builder) {
	cw, ch := float64(plotWidth)/float64(g.Columns), float64(plotHeight)/float64(g.Rows)
	b.WriteString("<g class=\"c\">\n")
	for row, cells := range g.Cells {
		for i := 0; i < len(cells); {
			level, j := g.level(cells[i], len(palette)+1), i+1
			for j < len(cells) && g.level(cells[j], len(palette)+1) == level {
				j++
			}
			if level > 0 {
				c := palette[level-1]
				fmt.Fprintf(b, `<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" fill="#%02x%02x%02x"/>`+"\n",
					svgLeft+float64(i)*cw, svgTop+plotHeight-float64(row+1)*ch, float64(j-i)*cw, ch, c[0], c[1], c[2])
			}
			i = j
		}
	}
	b.WriteString("</g>\n")
}

func (g *Grid) svgAxes(b *strings.Builder) {
	fmt.Fprintf(b, `<rect class="f" x="%d" y="%d" width="%d" height="%d"/>`+"\n", svgLeft, svgTop, plotWidth, plotHeight)
	for i := range ticksAcross + 1 {
		at := g.From + (g.To-g.From)*time.Duration(i)/ticksAcross
		fmt.Fprintf(b, `<text class="s" x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", svgLeft+plotWidth*i/ticksAcross, svgTop+plotHeight+20, summary.Duration(at))
	}
	for i := range ticksAlong + 1 {
		fmt.Fprintf(b, `<text class="s" x="%d" y="%d" text-anchor="end">%s</text>`+"\n", svgLeft-8, svgTop+plotHeight-plotHeight*i/ticksAlong+4,
			summary.Bytes(int64(float64(g.High)/ticksAlong*float64(i))))
	}
	fmt.Fprintf(b, `<text class="s" x="%d" y="%d" text-anchor="middle">time since the start of the profile</text>`+"\n", svgLeft+plotWidth/2, svgTop+plotHeight+42)
	fmt.Fprintf(b, `<text class="s" transform="translate(18 %d) rotate(-90)" text-anchor="middle">offset in the region</text>`+"\n", svgTop+plotHeight/2)
}

// svgKey explains the colors, and says what is not in the picture.
func (g *Grid) svgKey(b *strings.Builder) {
	const y, size = svgTop + plotHeight + 62, 16
	b.WriteString("<g class=\"c\">\n")
	for i, c := range palette {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="#%02x%02x%02x"/>`+"\n", svgLeft+i*size, y, size, size, c[0], c[1], c[2])
	}
	b.WriteString("</g>\n")
	text := "few, up to " + g.show(g.Max) + " (logarithmic)"
	if g.Missing > 0 {
		text += "; " + summary.Count(g.Missing) + " more faults are known in number only"
	}
	fmt.Fprintf(b, `<text class="s" x="%d" y="%d">%s</text>`+"\n", svgLeft+len(palette)*size+8, y+13, escape(text))
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(plain.Line(s))) // a Builder takes everything
	return b.String()
}
