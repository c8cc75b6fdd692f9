package dashboards

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/internal/promnames"
	"go.yaml.in/yaml/v3"
)

// ruleFile is what the tests look at of the rules.
type ruleFile struct {
	Groups []struct {
		Rules []struct {
			Record, Alert, Expr string
			Annotations         map[string]string
		}
	}
}

func ruleset(t *testing.T) (r ruleFile) {
	t.Helper()
	if err := yaml.Unmarshal(read(t, "prometheus/rules.yml"), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// expressions are those of all dashboards, variables and rules, by where they are.
func expressions(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for name, b := range boards(t) {
		for _, v := range b.Templating.List {
			if v.Definition != "" {
				all[name+", variable "+v.Name] = append(all[name+", variable "+v.Name], v.Definition)
			}
		}
		for _, p := range b.Panels {
			for _, q := range p.Targets {
				if q.Expr != "" {
					all[name+", panel "+p.Title] = append(all[name+", panel "+p.Title], q.Expr)
				}
			}
		}
	}
	for _, g := range ruleset(t).Groups {
		for _, r := range g.Rules {
			all["rules.yml, "+r.Record+r.Alert] = append(all["rules.yml, "+r.Record+r.Alert], r.Expr)
		}
	}
	return all
}

var (
	selector = regexp.MustCompile(`\b(firsttouch[a-z0-9_:]*)(\{[^}]*\})?`)
	label    = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
	quoted   = regexp.MustCompile(`"[^"]*"`)
)

// TestEveryMetricIsInTheCatalogue, with every label, and every metric of the catalogue is shown somewhere.
func TestEveryMetricIsInTheCatalogue(t *testing.T) {
	series := promnames.Series()
	recorded := make(map[string]bool)
	for _, g := range ruleset(t).Groups {
		for _, r := range g.Rules {
			recorded[r.Record] = true
		}
	}
	shown := make(map[string]bool)
	for where, list := range expressions(t) {
		for _, expr := range list {
			var labels []string // those that a series of the expression has
			for _, m := range selector.FindAllStringSubmatch(expr, -1) {
				metric, ok := series[m[1]]
				if !ok {
					if !recorded[m[1]] {
						t.Errorf("%s: %s is not in the catalogue", where, m[1])
					}
					continue
				}
				shown[metric.Name] = true
				own := promnames.Labels(metric)
				labels = append(labels, own...)
				for _, l := range label.FindAllStringSubmatch(quoted.ReplaceAllString(m[2], `""`), -1) {
					if !slices.Contains(own, l[1]) {
						t.Errorf("%s: %s has no label %s", where, m[1], l[1])
					}
				}
			}
			for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
				for l := range strings.SplitSeq(g[1], ",") {
					if l = strings.TrimSpace(l); !slices.Contains(labels, l) {
						t.Errorf("%s: nothing here has the label %s: %s", where, l, expr)
					}
				}
			}
		}
	}
	for _, m := range exporter.Metrics() {
		if !shown[m.Name] {
			t.Errorf("%s is on no dashboard and in no rule", m.Name)
		}
	}
}

func TestRules(t *testing.T) {
	used := make(map[string]bool)
	for _, list := range expressions(t) {
		for _, expr := range list {
			for _, m := range selector.FindAllStringSubmatch(expr, -1) {
				used[m[1]] = true
			}
		}
	}
	alerts := 0
	for _, g := range ruleset(t).Groups {
		for _, r := range g.Rules {
			switch {
			case r.Alert == "" && (!strings.HasPrefix(r.Record, "firsttouch:") || r.Expr == ""):
				t.Errorf("rule %+v", r)
			case r.Alert != "":
				alerts++
				if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
					t.Errorf("%s does not say what is wrong and what to do", r.Alert)
				}
				// So that .ci/e2e can look at what is compared.
				if left, _, ok := strings.Cut(r.Expr, " > "); !ok || !strings.HasPrefix(left, "firsttouch:") || strings.Contains(left, " ") {
					t.Errorf("%s compares no recorded value: %s", r.Alert, r.Expr)
				}
			}
		}
	}
	if alerts == 0 {
		t.Error("no alerts")
	}
}

// TestAttributesAreInTheCatalogue: those that Jaeger's links and the searches of Grafana name.
func TestAttributesAreInTheCatalogue(t *testing.T) {
	found := 0
	err := fs.WalkDir(Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".json") {
			return err
		}
		for _, attr := range regexp.MustCompile(`\bfirsttouch(\.[a-z]+)+\b`).FindAllString(string(read(t, name)), -1) {
			found++
			if _, ok := exporter.Lookup(exporter.KindAttribute, attr); !ok {
				t.Errorf("%s: the attribute %s is not in the catalogue", name, attr)
			}
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("%d attributes, %v", found, err)
	}
}
