package agent

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func fileText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocumentedSettings holds the table of variables in docs/configuration.md to the one in the code, and the variables that other
// documents name.
func TestDocumentedSettings(t *testing.T) {
	text := fileText(t, "../docs/configuration.md")
	for _, s := range settings {
		form, def, _ := strings.Cut(s.help, "; ")
		if row := "| `" + s.variable + "` | " + form + " | " + def + " |"; !strings.Contains(text, row) {
			t.Errorf("docs/configuration.md lacks the row\n%s", row)
		}
	}
	for _, path := range []string{"../README.md", "../SECURITY.md", "../docs/configuration.md", "../docs/limits.md", "../docs/demo.md", "../docs/recording.md", "../docs/budget.md", "../dashboards/README.md"} {
		for _, name := range regexp.MustCompile(prefix+"[A-Z_]*[A-Z]").FindAllString(fileText(t, path), -1) {
			if settingOf(name) == nil {
				t.Errorf("%s names %s, which is no setting", path, name)
			}
		}
	}
}

// block is the first Go code that a document shows.
func block(t *testing.T, path string) string {
	t.Helper()
	_, rest, ok := strings.Cut(fileText(t, path), "```go\n")
	shown, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatalf("no Go code in %s", path)
	}
	return shown
}

// TestReadmeShowsAProgram: the Go code of the README compiles as it stands, since it is that of an example.
func TestReadmeShowsAProgram(t *testing.T) {
	if shown := block(t, "../README.md"); shown != fileText(t, "../examples/quickstart/main.go") {
		t.Errorf("README.md does not show examples/quickstart/main.go:\n%s", shown)
	}
}

// TestConfigurationShowsTheExample: the Go code for traces is code that compiles.
func TestConfigurationShowsTheExample(t *testing.T) {
	flat := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if shown := block(t, "../docs/configuration.md"); !strings.Contains(flat(fileText(t, "example_readme_test.go")), flat(shown)) {
		t.Errorf("docs/configuration.md shows what example_readme_test.go does not hold:\n%s", shown)
	}
}

// TestLinksLeadSomewhere: what README and the documents link to is there.
func TestLinksLeadSomewhere(t *testing.T) {
	list, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(list, "../README.md", "../SECURITY.md", "../CONTRIBUTING.md", "../dashboards/README.md") {
		for _, m := range regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`).FindAllStringSubmatch(fileText(t, path), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", path, m[1])
			}
		}
	}
}
