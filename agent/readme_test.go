package agent

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeListsSettings holds the table of variables in the README to the one in the code.
func TestReadmeListsSettings(t *testing.T) {
	text := readme(t)
	for _, s := range settings {
		form, def, _ := strings.Cut(s.help, "; ")
		if row := "| `" + s.variable + "` | " + form + " | " + def + " |"; !strings.Contains(text, row) {
			t.Errorf("README.md lacks the row\n%s", row)
		}
	}
	for _, name := range regexp.MustCompile(prefix+"[A-Z_]*[A-Z]").FindAllString(text, -1) {
		if settingOf(name) == nil {
			t.Errorf("README.md names %s, which is no setting", name)
		}
	}
}

// TestReadmeShowsTheExample: the Go code of the README is code that compiles.
func TestReadmeShowsTheExample(t *testing.T) {
	_, rest, ok := strings.Cut(readme(t), "```go\n")
	shown, _, ok2 := strings.Cut(rest, "```")
	code, err := os.ReadFile("example_readme_test.go")
	if err != nil || !ok || !ok2 {
		t.Fatalf("no Go block in README.md, or no example: %v", err)
	}
	flat := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if !strings.Contains(flat(string(code)), flat(shown)) {
		t.Errorf("README.md shows what example_readme_test.go does not hold:\n%s", shown)
	}
}
