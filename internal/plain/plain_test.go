package plain

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/firsttouch/firsttouch/internal/hostile"
)

func TestLine(t *testing.T) {
	for s, want := range map[string]string{
		"/data/ä.db":            "/data/ä.db",
		"±日本 x":                 "±日本 x",
		"\x1b[31mred":           `\u001b[31mred`,
		"a\nb\r\t\x00\x7f":      `a\u000ab\u000d\u0009\u0000\u007f`,
		"\u202egpj\u2066\u200b": `\u202egpj\u2066\u200b`,
		"\u009b2J":              `\u009b2J`,
		"\U000e0041":            `\udb40\udc41`,
		"\xff\xc3(":             `\xff\xc3(`,
		"":                      "",
	} {
		if got := Line(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
	if got := Line(strings.Repeat("ä", 1<<20)); len(got) > lineMost+3 || !utf8.ValidString(got) || !strings.HasSuffix(got, "ä...") {
		t.Errorf("a long text has %d bytes, and ends in %q", len(got), got[len(got)-8:])
	}
}

func TestValid(t *testing.T) {
	for s, want := range map[string]string{"": "", "ä\x1b": "ä\x1b", "a\xffb": `a\xffb`, "\xe4": `\xe4`, "\ufffd": "\ufffd", "\xed\xa0\x80": `\xed\xa0\x80`} {
		if got := Valid(s); got != want || !utf8.ValidString(got) {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// What the writer lets through is printable, and what it changes in JSON still is the same text.
func TestWriter(t *testing.T) {
	for _, name := range hostile.Names {
		var b bytes.Buffer
		w := Writer(&b)
		text, err := json.Marshal(map[string]string{"name": name})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := w.Write(append(text, '\n')); n != len(text)+1 || err != nil {
			t.Fatal(n, err)
		}
		var got map[string]string
		if err := json.Unmarshal(b.Bytes(), &got); err != nil || got["name"] != strings.ToValidUTF8(name, "\ufffd") && !strings.Contains(name, "\xff") && !strings.Contains(name, "\xed") {
			t.Errorf("%q: %q, %v", name, got, err)
		}
		for i := range text { // whatever the pieces, the result is the same
			var pieces bytes.Buffer
			p := Writer(&pieces)
			_, _ = p.Write(text[:i])
			_, _ = p.Write(append(bytes.Clone(text[i:]), '\n'))
			if pieces.String() != b.String() {
				t.Fatalf("in two pieces %q, want %q", &pieces, &b)
			}
		}
		b.Reset()
		if _, err := w.Write([]byte(name)); err != nil || strings.ContainsFunc(b.String(), func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }) {
			t.Errorf("%q: %q, %v", name, &b, err)
		}
		if Raw(w) != &b || Raw(&b) != &b {
			t.Error("not what is behind it")
		}
	}
}

func TestLinesReachEveryText(t *testing.T) {
	type named string
	type inner struct {
		S []string
		M map[string]*string
	}
	type outer struct {
		Name  named
		Inner *inner
		List  [2][]inner
		At    time.Time
		N     []int
	}
	bad := "a\nb"
	v := outer{named(bad), &inner{[]string{bad}, map[string]*string{bad: &bad}}, [2][]inner{{{S: []string{bad}}}}, time.Unix(1, 2), []int{1}}
	got := Lines(v)
	text, err := json.Marshal(got)
	if err != nil || strings.Contains(string(text), `\n`) || strings.Count(string(text), `\\u000a`) != 5 || !got.At.Equal(v.At) {
		t.Errorf("%s, %v", text, err)
	}
	if v.Name != named(bad) || v.Inner.S[0] != bad || v.List[0][0].S[0] != bad || bad != "a\nb" {
		t.Errorf("the original was changed: %+v", v)
	}
}
