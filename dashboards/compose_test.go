package dashboards

import (
	"encoding/json"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// TestCompose: what is mounted exists, and nothing listens beyond loopback.
func TestCompose(t *testing.T) {
	var c struct {
		Services map[string]struct {
			Image     string
			Command   []string
			Volumes   []string
			Ports     []string
			DependsOn []string `yaml:"depends_on"`
		}
	}
	if err := yaml.Unmarshal(read(t, "compose.yaml"), &c); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"grafana", "prometheus", "jaeger", "pyroscope", "collector"} {
		if _, ok := c.Services[want]; !ok {
			t.Errorf("no %s", want)
		}
	}
	for name, s := range c.Services {
		if _, tag, ok := strings.Cut(s.Image, ":"); !ok || tag == "latest" {
			t.Errorf("%s: image %s has no version", name, s.Image)
		}
		for _, v := range s.Volumes {
			from, rest, _ := strings.Cut(v, ":")
			if _, err := fs.Stat(Files, strings.TrimPrefix(from, "./")); err != nil || !strings.HasSuffix(rest, ":ro") {
				t.Errorf("%s: volume %s: %v", name, v, err)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: port %s is not on loopback", name, p)
			}
		}
		for _, d := range s.DependsOn {
			if _, ok := c.Services[d]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, d)
			}
		}
	}
}

// TestProvisioning: the data sources are services of the compose file, and an exemplar leads to one.
func TestProvisioning(t *testing.T) {
	var p struct {
		Datasources []struct {
			UID, Type, URL string
			JSONData       struct {
				Exemplars []struct {
					Name string
					UID  string `yaml:"datasourceUid"`
				} `yaml:"exemplarTraceIdDestinations"`
			} `yaml:"jsonData"`
		}
	}
	if err := yaml.Unmarshal(read(t, "grafana/provisioning/datasources/firsttouch.yaml"), &p); err != nil {
		t.Fatal(err)
	}
	types := make(map[string]string) // by uid
	for _, d := range p.Datasources {
		types[d.UID] = d.Type
		host, _, _ := strings.Cut(strings.TrimPrefix(d.URL, "http://"), ":")
		if !strings.Contains(string(read(t, "compose.yaml")), "\n  "+host+":\n") {
			t.Errorf("%s is at %s, which the compose file does not start", d.UID, d.URL)
		}
	}
	ways := 0
	for _, d := range p.Datasources {
		for _, e := range d.JSONData.Exemplars {
			ways++
			// The label is what OpenTelemetry's exporter gives to an exemplar.
			if e.Name != "trace_id" || types[e.UID] != "jaeger" {
				t.Errorf("exemplars of %s: %+v", d.UID, e)
			}
		}
	}
	if ways != 1 {
		t.Errorf("%d ways from an exemplar to a trace", ways)
	}
	for name, b := range boards(t) {
		for _, panel := range b.Panels {
			if d := panel.Datasource; d != nil {
				found := false
				for _, kind := range types {
					found = found || kind == d.Type
				}
				if !found {
					t.Errorf("%s, panel %q: no data source of type %s is provisioned", name, panel.Title, d.Type)
				}
			}
		}
	}
}

func TestEveryFileParses(t *testing.T) {
	err := fs.WalkDir(Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		var v any
		switch {
		case strings.HasSuffix(name, ".json"):
			err = json.Unmarshal(read(t, name), &v)
		case strings.HasSuffix(name, ".yml"), strings.HasSuffix(name, ".yaml"):
			err = yaml.Unmarshal(read(t, name), &v)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestAlloyScrapesDeltas: a store adds up the profiles that it gets, so none may be of all since the start.
func TestAlloyScrapesDeltas(t *testing.T) {
	text := string(read(t, "alloy/config.alloy"))
	custom := strings.Split(text, "profile.custom")[1:]
	for _, c := range custom {
		body, _, _ := strings.Cut(c, "}")
		if !regexp.MustCompile(`delta\s*=\s*true`).MatchString(body) {
			t.Errorf("a profile is scraped without delta: %s", body)
		}
	}
	seconds := func(name string) time.Duration {
		m := regexp.MustCompile(name + `\s*=\s*"([0-9a-z]+)"`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no %s", name)
		}
		d, err := time.ParseDuration(m[1])
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := seconds("delta_profiling_duration"); len(custom) == 0 || d >= seconds("scrape_interval") || d >= seconds("scrape_timeout") {
		t.Errorf("%d profiles of %v do not fit between two scrapes", len(custom), d)
	}
}
