package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/firsttouch/firsttouch/uffd"
)

func TestSnapshotOfAFile(t *testing.T) {
	path, file := database(t, 64)
	a := start(t, WithFiles(path), WithStacks(profiler.StacksEvery()), WithAddresses())
	touched := []int{63, 0, 7}
	for _, i := range touched {
		touchPage(file, i)
	}
	ask := func(query string) *Document {
		t.Helper()
		code, body := serve(t, a, "/debug/firsttouch/snapshot"+query)
		if code != 200 {
			t.Fatalf("%d %s", code, body)
		}
		if i := strings.Index(body, "null"); i >= 0 {
			t.Errorf("%q: a list is null and not empty: %s", query, body[:i+4])
		}
		var d Document
		dec := json.NewDecoder(bytes.NewReader([]byte(body)))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&d); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(body, `"address"`) != strings.Contains(query, "addresses=true") {
			t.Errorf("%q: addresses are shown unless asked for, or not though asked for", query)
		}
		return &d
	}
	page := int64(uffd.PageSize())
	d := ask("")
	if d.Schema != DocumentSchema || !d.Active || len(d.Regions) != 1 || d.Regions[0].Kind != "attached_file" {
		t.Fatalf("%+v", d)
	}
	if r := d.Regions[0]; r.Faults != 3 || r.Touched != 3*page || r.Slices[63] != page || r.Slices[7] != page || r.Slices[1] != 0 {
		t.Errorf("region %+v", r)
	}
	if len(d.Faults) != 3 {
		t.Fatalf("%d faults, want 3", len(d.Faults))
	}
	for i, f := range d.Faults {
		if f.OffsetBytes != int64(touched[i])*page || f.Access != "read" || f.TimeNS <= 0 {
			t.Errorf("fault %d: %+v, want offset of page %d", i, f, touched[i])
		}
	}
	rest := ask("?faults=1&addresses=true&after=" + fmt.Sprint(d.Faults[0].Seq))
	if len(rest.Faults) != 1 || rest.Faults[0].Seq != d.Faults[1].Seq {
		t.Errorf("after the first: %+v", rest.Faults)
	}
	found := false
	for _, s := range d.Stacks {
		for _, f := range s.Frames {
			found = found || strings.HasSuffix(f.Function, ".touchPage") && s.ID == d.Faults[0].Stack
		}
	}
	if !found {
		t.Errorf("the stack of the first fault has no touchPage: %+v", d.Stacks)
	}
	if len(ask("?faults=0").Faults) != 0 {
		t.Error("faults=0 shows faults")
	}
}
