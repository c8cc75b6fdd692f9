//go:build linux && (amd64 || arm64)

package bench

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

// Comparison is what Compare measured, for tables and plots.
type Comparison struct {
	Rounds int
	Rows   []Row
}

// Row is one observer of one cell: medians over the rounds.
type Row struct {
	Memory, Pattern string
	Goroutines      int
	Granule         int // bytes
	Observer        string
	observation
	Pages, Granules int     // touched
	Unprofiled      float64 // PerPage as a multiple of the unprofiled one's, the median of ratios within a round; 0 for none
	CLoop           float64 // Median as a multiple of the C loop's, in the same way: what other programs take of the processors is not in it
}

// Compare has every observer watch every cell so many times, and writes tables in Markdown. The caller
// has called Child before.
func Compare(w io.Writer, quick bool, rounds int) (list *Comparison, err error) {
	r, err := newRig(Pages)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	all := cells(quick)
	size := 0
	for _, c := range all {
		size = max(size, c.load().size())
	}
	if err := r.makeCompared(size); err != nil {
		return nil, err
	}
	watchers := observers()
	seen := make([][][]observation, len(all)) // by cell, observer and round
	for i := range seen {
		seen[i] = make([][]observation, len(watchers))
	}
	for turn := range rounds {
		fmt.Fprintf(os.Stderr, "comparison, round %d of %d\n", turn+1, rounds)
		for i, c := range all {
			for k := range watchers {
				k = (k + turn) % len(watchers)
				if err := r.prepare(c); err != nil {
					return nil, err
				}
				o, err := watchers[k].run(r, c)
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", watchers[k].name, c, err)
				}
				seen[i][k] = append(seen[i][k], o)
			}
		}
	}
	list = &Comparison{Rounds: rounds}
	for i, c := range all {
		for k, v := range watchers {
			list.Rows = append(list.Rows, summarise(c, v.name, seen[i][k], seen[i][0], seen[i][yardstick]))
		}
	}
	return list, list.write(w, watchers)
}

// yardstick is where observers has the C loop.
const yardstick = 4

// summarise takes the medians of one observer's rounds.
func summarise(c cell, name string, rounds, plain, loop []observation) Row {
	row := Row{Memory: c.Memory, Pattern: c.Pattern, Goroutines: c.Goroutines, Granule: c.Granule, Observer: name, Pages: c.Pages, Granules: c.granules()}
	of := func(list []observation, f func(observation) float64) (out []float64) {
		for _, o := range list {
			v := f(o)
			if o.Skip != "" {
				v = math.NaN()
			}
			out = append(out, v)
		}
		return out
	}
	mid := func(f func(observation) float64) float64 { return quantile(present(of(rounds, f)), .5) }
	pace := func(o observation) float64 { return o.PerPage }
	row.PerPage, row.CPU = mid(pace), mid(func(o observation) float64 { return o.CPU })
	row.Median, row.P99 = mid(func(o observation) float64 { return o.Median }), mid(func(o observation) float64 { return o.P99 })
	if seen := mid(func(o observation) float64 { return float64(o.Seen) }); !math.IsNaN(seen) {
		row.Seen = int(seen)
	}
	row.Unprofiled = quantile(ratios(of(rounds, pace), of(plain, pace)), .5)
	middle := func(o observation) float64 { return o.Median }
	row.CLoop = quantile(ratios(of(rounds, middle), of(loop, middle)), .5)
	if math.IsNaN(row.PerPage) {
		row.Skip = rounds[len(rounds)-1].Skip
	}
	for _, v := range []*float64{&row.PerPage, &row.CPU, &row.Median, &row.P99, &row.Unprofiled, &row.CLoop} {
		if math.IsNaN(*v) {
			*v = 0 // JSON has no other word for none
		}
	}
	return row
}

// write makes a table of each memory and granule.
func (l *Comparison) write(w io.Writer, watchers []observer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## Side by side\n\n| | keeps of each fault |\n|---|---|\n")
	for _, v := range watchers {
		fmt.Fprintf(&b, "| %s | %s |\n", v.name, v.records)
	}
	title := ""
	for i := range l.Rows {
		r := &l.Rows[i]
		if t := fmt.Sprintf("%s, granule %d KiB", r.Memory, r.Granule>>10); t != title && i%len(watchers) == 0 {
			title = t
		}
		if i%len(watchers) == 0 {
			fmt.Fprintf(&b, "\n### %s: %s, %d goroutines\n\n", title, r.Pattern, r.Goroutines)
			b.WriteString("| | ns per page | × unprofiled | first touch, median ns | × C loop | p99 | faults seen | of | processor ns per page |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
		}
		if r.Skip != "" {
			fmt.Fprintf(&b, "| %s | skipped: %s | | | | | | | |\n", r.Observer, strings.ReplaceAll(r.Skip, "|", "/"))
			continue
		}
		truth := r.Pages
		if strings.HasPrefix(r.Observer, "firsttouch") || strings.HasPrefix(r.Observer, "C loop") {
			truth = r.Granules
		}
		fmt.Fprintf(&b, "| %s | %.0f | %s | %.0f | %s | %.0f | %d | %d | %.0f |\n", r.Observer, r.PerPage, times(r.Unprofiled), r.Median,
			times(r.CLoop), r.P99, r.Seen, truth, r.CPU)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// times shows a ratio.
func times(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", v)
}
