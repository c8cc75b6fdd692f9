//go:build linux && (amd64 || arm64)

package bench

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Report measures the groups whose title a regular expression matches, so many times and with so many pages, and
// writes tables in Markdown. The caller has called Child before.
func Report(w io.Writer, rounds, pages int, only string) (err error) {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	r, err := newRig(pages)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	list := slices.DeleteFunc(groups(), func(g group) bool { return !match.MatchString(g.title) })
	all := make([][][]result, len(list)) // by group and round
	busy := []string{loadAverage()}
	for turn := range rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", turn+1, rounds)
		for i, g := range list {
			out, err := g.round(r, turn)
			if err != nil {
				return err
			}
			all[i] = append(all[i], out)
		}
	}
	busy = append(busy, loadAverage())
	if err := writeSystem(w, rounds, pages, busy); err != nil {
		return err
	}
	for i, g := range list {
		if _, err := io.WriteString(w, g.table(all[i])); err != nil {
			return err
		}
	}
	return nil
}

// table shows the medians of one group's rounds.
func (g *group) table(rounds [][]result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n| | ns per page |", g.title)
	for _, base := range g.bases {
		fmt.Fprintf(&b, " × %s |", base.name)
	}
	fmt.Fprintf(&b, " allocations per page |\n|---|---:|%s---:|\n", strings.Repeat("---:|", len(g.bases)))
	for i, name := range g.names {
		values, skip := column(rounds, i)
		if len(present(values)) == 0 {
			fmt.Fprintf(&b, "| %s | skipped: %s |%s |\n", name, strings.ReplaceAll(skip, "|", "/"), strings.Repeat(" |", len(g.bases)))
			continue
		}
		fmt.Fprintf(&b, "| %s | %.0f |", name, quantile(present(values), .5))
		for _, base := range g.bases {
			of, _ := column(rounds, base.index)
			fmt.Fprintf(&b, " %s |", spread(ratios(values, of)))
		}
		fmt.Fprintf(&b, " %.3f |\n", rounds[len(rounds)-1][i].mallocs)
	}
	return b.String()
}

// column returns one variant's times by round, NaN where it was skipped, and the last reason.
func column(rounds [][]result, i int) (values []float64, skip string) {
	for _, r := range rounds {
		v := r[i].perPage
		if r[i].skip != "" {
			v, skip = math.NaN(), r[i].skip
		}
		values = append(values, v)
	}
	return values, skip
}

// spread is the median of ratios and their quartiles.
func spread(ratios []float64) string {
	if len(ratios) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", quantile(ratios, .5), quantile(ratios, .25), quantile(ratios, .75))
}
