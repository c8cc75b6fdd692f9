package dashboards

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
)

// board is what the tests look at of a dashboard.
type board struct {
	ID            *int     `json:"id"`
	UID           string   `json:"uid"`
	Title         string   `json:"title"`
	Description   string   `json:"description"`
	Tags          []string `json:"tags"`
	SchemaVersion int      `json:"schemaVersion"`
	Editable      *bool    `json:"editable"`
	Links         []struct{ URL string }
	Templating    struct {
		List []struct {
			Name, Type, Definition string
			Datasource             *source
			AllValue               string
			IncludeAll             bool
		}
	}
	Panels []boardPanel
}

type source struct{ Type, UID string }

type boardPanel struct {
	ID                       int
	Type, Title, Description string
	Datasource               *source
	FieldConfig              struct{ Defaults struct{ Unit string } }
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct {
		RefID      string
		Datasource *source
		Expr       string
		Legend     string `json:"legendFormat"`
		Format     string
		Exemplar   bool
	}
}

// boards are the dashboards, by file name.
func boards(t *testing.T) map[string]board {
	t.Helper()
	files, err := fs.Glob(Files, "grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d dashboards, %v", len(files), err)
	}
	all := make(map[string]board)
	for _, f := range files {
		var b board
		if err := json.Unmarshal(read(t, f), &b); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		all[path.Base(f)] = b
	}
	return all
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDashboards(t *testing.T) {
	uids := make(map[string]bool)
	for _, b := range boards(t) {
		uids[b.UID] = true
	}
	for name, b := range boards(t) {
		bad := func(format string, args ...any) { t.Errorf("%s: %s", name, fmt.Sprintf(format, args...)) }
		if b.ID != nil || b.UID == "" || b.Title == "" || b.Description == "" || !slices.Contains(b.Tags, "firsttouch") {
			bad("id %v, uid %q, title %q, description %q, tags %q", b.ID, b.UID, b.Title, b.Description, b.Tags)
		}
		if b.SchemaVersion != 39 || b.Editable == nil || *b.Editable {
			bad("schema %d, editable %v", b.SchemaVersion, b.Editable)
		}
		for _, l := range b.Links {
			if uid, ok := strings.CutPrefix(l.URL, "/d/"); !ok || !uids[uid] {
				bad("a link to %q", l.URL)
			}
		}
		sources := make(map[string]bool)
		vars := make(map[string]bool)
		for _, v := range b.Templating.List {
			vars[v.Name] = true
			if v.Type == "datasource" {
				sources["${"+v.Name+"}"] = true
			} else if v.Datasource == nil || v.Datasource.UID != "${datasource}" || v.IncludeAll && v.AllValue != ".+" {
				bad("variable %s: %+v", v.Name, v)
			}
		}
		if !sources["${datasource}"] || !vars["job"] || !vars["instance"] {
			bad("variables %v", vars)
		}
		ids := make(map[int]bool)
		for _, p := range b.Panels {
			if ids[p.ID] {
				bad("two panels have the id %d", p.ID)
			}
			ids[p.ID] = true
			checkPanel(t, name, p, sources)
		}
		for i, p := range b.Panels {
			for _, q := range b.Panels[i+1:] {
				if a, c := p.GridPos, q.GridPos; a.X < c.X+c.W && c.X < a.X+a.W && a.Y < c.Y+c.H && c.Y < a.Y+a.H {
					bad("the panels %q and %q overlap", p.Title, q.Title)
				}
			}
		}
	}
}

func checkPanel(t *testing.T, name string, p boardPanel, sources map[string]bool) {
	t.Helper()
	bad := func(format string, args ...any) {
		t.Errorf("%s, panel %q: %s", name, p.Title, fmt.Sprintf(format, args...))
	}
	if p.GridPos.X+p.GridPos.W > 24 {
		bad("wider than the page: %+v", p.GridPos)
	}
	if p.Type == "row" {
		return
	}
	if p.Title == "" || !strings.HasSuffix(p.Description, ".") || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
		bad("description %q, unit %q, %d queries", p.Description, p.FieldConfig.Defaults.Unit, len(p.Targets))
	}
	if p.Datasource == nil || !sources[p.Datasource.UID] {
		bad("datasource %+v is no variable", p.Datasource)
	}
	for _, q := range p.Targets {
		if q.Datasource == nil || *q.Datasource != *p.Datasource {
			bad("query %s has the datasource %+v", q.RefID, q.Datasource)
		}
		if p.Datasource.Type != "prometheus" {
			continue
		}
		for _, want := range []string{`job=~"$job"`, `instance=~"$instance"`} {
			if n := strings.Count(q.Expr, "firsttouch_"); n == 0 || strings.Count(q.Expr, want) != n {
				bad("query %s: each of %d selectors needs %s: %s", q.RefID, n, want, q.Expr)
			}
		}
		if counter := strings.Contains(q.Expr, "rate(") || strings.Contains(q.Expr, "increase("); counter != strings.Contains(q.Expr, "[$__rate_interval]") {
			bad("query %s: rates are over $__rate_interval: %s", q.RefID, q.Expr)
		}
		if (p.Type == "heatmap") != (q.Format == "heatmap") || p.Type == "timeseries" && q.Legend == "" {
			bad("query %s: format %q, legend %q", q.RefID, q.Format, q.Legend)
		}
	}
}
