// Package grafana holds the dashboards against the types that Grafana's own schema gives, in a module of its
// own: they are large, and nothing else needs them.
package grafana

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func TestDashboardsAreOfGrafanasSchema(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	files, err := filepath.Glob("../../dashboards/grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d dashboards, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard.Dashboard
		if err := d.UnmarshalJSONStrict(text); err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
		if err := d.Validate(); err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
		// What the schema does not know would be lost.
		again, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var have, kept map[string]any
		if err := json.Unmarshal(text, &have); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, &kept); err != nil {
			t.Fatal(err)
		}
		lost(t, filepath.Base(file), have, kept)
	}
}

// lost reports what is in a dashboard and not in the same one after it went through the schema.
func lost(t *testing.T, where string, have, kept any) {
	if empty(have) {
		return
	}
	switch h := have.(type) {
	case map[string]any:
		k, ok := kept.(map[string]any)
		if !ok {
			t.Errorf("%s: %v", where, kept)
			return
		}
		for name, v := range h {
			if _, ok := k[name]; !ok && !empty(v) {
				t.Errorf("%s.%s is not of the schema", where, name)
			} else if ok {
				lost(t, where+"."+name, v, k[name])
			}
		}
	case []any:
		k, ok := kept.([]any)
		if !ok || len(k) != len(h) {
			t.Errorf("%s: %d of %d are left", where, len(k), len(h))
			return
		}
		for i := range h {
			lost(t, where, h[i], k[i])
		}
	}
}

// empty values are left out by the schema's own encoding.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return v == "" || v == false
}
