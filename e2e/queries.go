package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/dashboards"
)

// board is what is asked of a dashboard.
type board struct {
	Templating struct {
		List []struct{ Name, Type, Definition, AllValue string }
	}
	Panels []struct {
		Title   string
		Targets []struct {
			Expr    string
			Instant bool
		}
	}
}

func boards() (map[string]board, error) {
	files, err := fs.Glob(dashboards.Files, "grafana/dashboards/*.json")
	all := make(map[string]board)
	for _, f := range files {
		text, err := fs.ReadFile(dashboards.Files, f)
		if err != nil {
			return nil, err
		}
		var b board
		if err := json.Unmarshal(text, &b); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		all[path.Base(f)] = b
	}
	return all, err
}

// atRest are what is 0 in a run as it should be: that they answer at all is what counts.
var atRest = []string{"Records lost", "Records lost on their way", "Threads waiting at the scrape", "Changes by the budget"}

// checkDashboards runs every variable and every query, for the job and from when the demo began.
func checkDashboards(ctx context.Context, r *results, prom *prometheus, t *truth, job string, began time.Time) error {
	all, err := boards()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(keys(all)) {
		var bad []string
		n := 0
		values := map[string]string{"job": job}
		for _, v := range all[name].Templating.List {
			if v.Type != "query" || v.Name == "job" {
				continue
			}
			n++
			got, err := prom.labelsOf(ctx, interpolate(v.Definition, values))
			if err != nil {
				return fmt.Errorf("%s, variable %s: %w", name, v.Name, err)
			}
			switch {
			case len(got) == 0:
				bad = append(bad, "variable "+v.Name+" offers nothing")
			case v.AllValue != "":
				values[v.Name] = v.AllValue
			default:
				values[v.Name] = escape(got[0])
			}
			if v.Name == "region" && !slices.Equal(got, t.regions()) {
				bad = append(bad, fmt.Sprintf("variable region offers %q", got))
			}
		}
		for _, p := range all[name].Panels {
			for _, q := range p.Targets {
				if q.Expr == "" {
					continue // of traces or profiles
				}
				n++
				expr := interpolate(q.Expr, values)
				why, err := prom.answered(ctx, expr, q.Instant, began, slices.Contains(atRest, p.Title))
				if err != nil {
					return fmt.Errorf("%s, panel %q: %w", name, p.Title, err)
				}
				if why != "" {
					bad = append(bad, fmt.Sprintf("panel %q: %s: %s", p.Title, expr, why))
				}
			}
		}
		r.check("queries of "+name+" with job "+job, n, bad, "queries")
	}
	return nil
}

// regions are the names of all, in order.
func (t *truth) regions() (names []string) {
	for _, r := range t.snap.Regions {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return names
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

var variable = regexp.MustCompile(`\$([a-z_]+)`)

// interpolate does what Grafana does before it asks.
func interpolate(expr string, values map[string]string) string {
	return variable.ReplaceAllStringFunc(expr, func(v string) string {
		if v == "$__rate_interval" {
			return rateInterval
		}
		if s, ok := values[v[1:]]; ok {
			return s
		}
		return v // the server will not understand it
	})
}

// escape makes a value match itself in a regular expression within a string.
func escape(s string) string {
	quoted := strconv.Quote(regexp.QuoteMeta(s))
	return quoted[1 : len(quoted)-1]
}

var labelValues = regexp.MustCompile(`^label_values\((.*), ([a-z_]+)\)$`)

func (p *prometheus) labelsOf(ctx context.Context, definition string) ([]string, error) {
	m := labelValues.FindStringSubmatch(definition)
	if m == nil {
		return nil, fmt.Errorf("%q is no label_values", definition)
	}
	return p.labelValues(ctx, m[2], m[1])
}

// answered says why an expression has no data to show, or nothing. It has data when some sample is a
// number, and above 0 unless it is of something that is 0 at rest.
func (p *prometheus) answered(ctx context.Context, expr string, instant bool, began time.Time, rest bool) (string, error) {
	// A panel that shows one value shows the last one: rates are 0 by now, so it is asked as of every
	// moment, like the others.
	got, err := p.queryRange(ctx, expr, began, time.Now())
	if err != nil {
		return "", err
	}
	if instant {
		now, err := p.query(ctx, expr)
		if err != nil {
			return "", err
		}
		if len(now) == 0 {
			return "no data now", nil
		}
	}
	numbers, above := 0, 0
	for _, s := range got {
		for _, v := range s.Values {
			if !math.IsNaN(v.value) && !math.IsInf(v.value, 0) {
				numbers++
				if v.value > 0 {
					above++
				}
			}
		}
	}
	switch {
	case numbers == 0:
		return fmt.Sprintf("no data in %d series", len(got)), nil
	case above == 0 && !rest:
		return fmt.Sprintf("all %d samples are 0", numbers), nil
	}
	return "", nil
}

// checkRules looks at the rules as the server evaluated them.
func checkRules(ctx context.Context, r *results, prom *prometheus) error {
	all, err := prom.rules(ctx)
	if err != nil {
		return err
	}
	var bad []string
	for _, rule := range all {
		if rule.Health != "ok" || rule.LastError != "" || rule.LastEvaluation.IsZero() {
			bad = append(bad, fmt.Sprintf("%s is %s: %s", rule.Name, rule.Health, rule.LastError))
		}
		// An alert is silent when all is well: what it compares has to have a value.
		expr := rule.Name
		if rule.Type == "alerting" {
			expr, _, _ = strings.Cut(rule.Query, " > ")
		}
		// Both jobs are there, and every rule keeps them apart.
		jobs := make(map[string]bool)
		got, err := prom.query(ctx, expr)
		if err != nil {
			return err
		}
		for _, s := range got {
			jobs[s.Metric["job"]] = true
		}
		if !jobs[jobScraped] || !jobs[jobSent] {
			bad = append(bad, fmt.Sprintf("%s: %s has values of the jobs %v", rule.Name, expr, jobs))
		}
	}
	r.check("rules", len(all), bad, "rules")
	return nil
}
