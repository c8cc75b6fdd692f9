package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/firsttouch/firsttouch/internal/heatmap"
	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newHeatmap() *cobra.Command {
	var source sourceFlags
	var region, out string
	value := string(heatmap.Faults)
	c := &cobra.Command{
		Use:   "heatmap SOURCE",
		Short: "Draw which places of a region were touched when",
		Long: `heatmap draws the first touches of one region by offset and time: as text, or with -out as an SVG picture.

` + sourceHelp,
		Example: `  firsttouch heatmap firsttouch-demo/recording.ftr
  firsttouch heatmap -value stall -out touches.svg :6060`,
		Args:              wantSource(),
		ValidArgsFunction: recordingFiles,
		RunE: runningWith(func(c *cobra.Command, args []string) error {
			v := heatmap.Value(value)
			if v != heatmap.Faults && v != heatmap.Stall {
				return fmt.Errorf("%w: -value %s: choose faults or stall", recordings.ErrUsage, value)
			}
			if e := filepath.Ext(out); e != "" && !strings.EqualFold(e, ".svg") {
				return fmt.Errorf("%w: -out %s: the picture is SVG: name a file that ends in .svg", recordings.ErrUsage, out)
			}
			return source.read(c, args[0], func(r *recordings.Opened) error {
				o := heatmap.Options{Region: region, Value: v, Columns: 195, Rows: 128}
				colors := false
				if out == "" {
					o.Columns, o.Rows, colors = canvas()
				}
				g, err := heatmap.New(r.Snapshot, o)
				if err != nil {
					return err
				}
				if out == "" {
					return printing(g.WriteText(plain.Raw(c.OutOrStdout()), colors))
				}
				return toFile(c, out, false, func(w io.Writer) error { return g.WriteSVG(w) })
			})
		}),
	}
	source.add(c)
	c.Flags().StringVar(&region, "region", "", "`name` of the region, or the last element of its path (default the one with the most faults)")
	c.Flags().StringVar(&value, "value", value, "what a cell adds up: faults or stall")
	c.Flags().StringVarP(&out, "out", "o", "", "SVG `file` to write, '-' for the standard output (default text)")
	return c
}

// canvas is the size of a drawing in text, and whether it may have colors (https://no-color.org).
func canvas() (columns, rows int, colors bool) {
	columns, rows = 100, 30
	fd := int(os.Stdout.Fd())
	if term.IsTerminal(fd) {
		if w, h, err := term.GetSize(fd); err == nil {
			columns, rows = min(max(w-12, 20), 400), min(max(h-7, 8), 100)
		}
		colors = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return columns, rows, colors
}
