// Command plot draws what "go run ./bench/report -json FILE" measured, as SVG: what a first touch takes by
// observer, one picture for each memory. It is a module of its own so that nothing else carries the
// drawing library.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// comparison is bench.Comparison, as far as it is drawn.
type comparison struct {
	Rounds int
	Rows   []row
}

type row struct {
	Memory, Pattern     string
	Goroutines, Granule int
	Observer, Skip      string
	Median              float64 // ns
}

func main() {
	out := flag.String("out", ".", "directory for the pictures")
	flag.Usage = func() { fmt.Fprintln(os.Stderr, "usage: plot [-out DIRECTORY] FILE") }
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *out); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(file, out string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var c comparison
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	byMemory := map[string][]row{}
	for _, r := range c.Rows {
		byMemory[r.Memory] = append(byMemory[r.Memory], r)
	}
	for memory, rows := range byMemory {
		name := filepath.Join(out, "overhead-"+strings.ReplaceAll(memory, " ", "-")+".svg")
		if err := picture(memory, rows, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// colours are those of Okabe and Ito, which the colour-blind can tell apart.
var colours = []color.RGBA{
	{0, 0, 0, 255}, {230, 159, 0, 255}, {86, 180, 233, 255}, {0, 158, 115, 255},
	{213, 94, 0, 255}, {0, 114, 178, 255}, {204, 121, 167, 255}, {240, 228, 66, 255},
}

var shapes = []draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.PyramidGlyph{},
	draw.CrossGlyph{}, draw.PlusGlyph{}, draw.RingGlyph{}, draw.BoxGlyph{},
}

// picture has the cells along the horizontal axis, and a mark for each observer.
func picture(memory string, rows []row, name string) error {
	p := plot.New()
	p.Title.Text = "Touching " + memory + " for the first time"
	p.Y.Label.Text = "ns until the first touch of a granule is over, median"
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = 0.9, -1, -0.5
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	cells, series, names := map[string]int{}, map[string]plotter.XYs{}, []string{}
	var labels []string
	for _, r := range rows {
		cell := fmt.Sprintf("%s, %d g, %d KiB", r.Pattern, r.Goroutines, r.Granule>>10)
		if _, ok := cells[cell]; !ok {
			cells[cell] = len(labels)
			labels = append(labels, cell)
		}
		if r.Skip != "" || r.Median <= 0 {
			continue
		}
		if _, ok := series[r.Observer]; !ok {
			names = append(names, r.Observer)
		}
		series[r.Observer] = append(series[r.Observer], plotter.XY{X: float64(cells[cell]), Y: r.Median})
	}
	for i, n := range names {
		points, err := plotter.NewScatter(series[n])
		if err != nil {
			return err
		}
		points.Color, points.Radius, points.Shape = colours[i%len(colours)], vg.Points(5), shapes[i%len(shapes)]
		p.Add(points)
		p.Legend.Add(n, points)
	}
	p.NominalX(labels...)
	p.X.Min, p.X.Max = -0.5, 1.4*float64(len(labels)) // room for the legend, and for the first and last mark
	return p.Save(vg.Length(6+len(labels)/2)*vg.Inch, 6*vg.Inch, name)
}
