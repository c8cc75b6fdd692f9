package exporter_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/firsttouch/firsttouch/exporter"
)

func TestCatalogueIsWellFormed(t *testing.T) {
	name := regexp.MustCompile(`^[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)*$`)
	frame := regexp.MustCompile(`^\[[a-z ]+\]$`)
	types := []string{"int", "double", "bool", "string", "string[]"}
	units := []string{"", "s", "By", "{fault}", "count", "bytes", "nanoseconds"}
	seen := make(map[string]bool)
	for _, e := range exporter.Catalogue() {
		pattern := name
		if e.Kind == exporter.KindFrame {
			pattern = frame
		}
		if !pattern.MatchString(e.Name) {
			t.Errorf("%s %q: not in the form %s", e.Kind, e.Name, pattern)
		}
		if key := string(e.Kind) + e.Name; seen[key] {
			t.Errorf("%s %q: twice", e.Kind, e.Name)
		} else {
			seen[key] = true
		}
		if valued := e.Kind != exporter.KindSpan && e.Kind != exporter.KindEvent && e.Kind != exporter.KindFrame; valued != slices.Contains(types, e.Type) {
			t.Errorf("%s %q: type %q", e.Kind, e.Name, e.Type)
		}
		if !slices.Contains(units, e.Unit) {
			t.Errorf("%s %q: unit %q", e.Kind, e.Name, e.Unit)
		}
		if (e.Kind == exporter.KindAttribute) != (len(e.On) > 0) {
			t.Errorf("%s %q: carried by %q", e.Kind, e.Name, e.On)
		}
		if n := len(e.Text); n == 0 || e.Text[n-1] != '.' {
			t.Errorf("%s %q: text %q is no sentence", e.Kind, e.Name, e.Text)
		}
	}
}

func TestLookup(t *testing.T) {
	for _, e := range exporter.Catalogue() {
		got, ok := exporter.Lookup(e.Kind, e.Name)
		if !ok || got.Text != e.Text {
			t.Errorf("Lookup(%q, %q) = %+v, %v", e.Kind, e.Name, got, ok)
		}
	}
	if e, ok := exporter.Lookup(exporter.KindLabel, exporter.AttrFaults); ok {
		t.Errorf("an attribute was found among the labels: %+v", e)
	}
}

func TestCatalogueIsACopy(t *testing.T) {
	c := exporter.Catalogue()
	i := slices.IndexFunc(c, func(e exporter.Entry) bool { return e.Name == exporter.AttrFaults })
	c[i].On[0] = "elsewhere"
	if got, _ := exporter.Lookup(exporter.KindAttribute, exporter.AttrFaults); got.On[0] != exporter.OnSpan {
		t.Errorf("a caller changed the catalogue: %q", got.On)
	}
}
