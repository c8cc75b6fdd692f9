package procmaps

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		line string
		want Line
		name string
	}{
		{"7f00-8000 r--s 00001000 fe:01 1234                       /data/app.db (deleted)", Line{0x7f00, 0x8000, 0x1000, 0xfe<<32 | 1, 1234, Read, true}, "/data/app.db (deleted)"},
		{"55d0c8a00000-55d0c8a21000 rwxp 00000000 00:00 0 ", Line{0x55d0c8a00000, 0x55d0c8a21000, 0, 0, 0, Read | Write | Exec, false}, ""},
		{"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]", Line{0xffffffffff600000, 0xffffffffff601000, 0, 0, 0, Exec, false}, "[vsyscall]"},
		{"1000-2000 -w-s ffffffff000 103:05 18446744073709551615 /with  two spaces/and\\012newline", Line{0x1000, 0x2000, 0xffffffff000, 0x103<<32 | 5, 1<<64 - 1, Write, true}, "/with  two spaces/and\\012newline"},
		{"1000-2000 ---p 00000000 00:00 0", Line{Lo: 0x1000, Hi: 0x2000}, ""},
	} {
		for _, line := range []string{c.line, c.line + "\n"} {
			if got, name, err := Parse([]byte(line)); err != nil || got != c.want || string(name) != c.name {
				t.Errorf("%q: %+v, %q, %v; want %+v, %q", line, got, name, err, c.want, c.name)
			}
		}
	}
	for _, line := range []string{
		"", "1000-2000", "1000-2000 r--p 0 00:00", "1000 r--p 0 00:00 0", "x-2000 r--p 0 00:00 0", "1000-2000 r--p 0 0000 0", "1000-2000 r--p 0 00:00 ", "-2000 r--p 0 00:00 0",
		"1000-2000 r--p 0 00:00 ff", "1000-2000 r--p -1 00:00 0", "10000000000000000-2 r--p 0 00:00 0", "1000-2000 r--p 0 00:00 18446744073709551616", "1000-2000 r--p 0 00:00 99999999999999999999",
		"KernelPageSize:        4 kB", "VmFlags: rd mr mw me sd", "Rss:                   4 kB", "Anonymous:             0 kB", "FilePmdMapped:         0 kB", "1000-2000 r--",
	} {
		if got, name, err := Parse([]byte(line)); err == nil || got != (Line{}) || name != nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", line)) {
			t.Errorf("%q: %+v, %q, %v", line, got, name, err)
		}
	}
}

// What the kernel writes of this process is read whole, line by line, and is in order.
func TestOwn(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc/self/maps")
	}
	for _, file := range []string{"maps", "smaps"} {
		text, err := os.ReadFile("/proc/self/" + file)
		if err != nil {
			t.Fatal(err)
		}
		n, before, stack := 0, Line{}, false
		for l, name := range Lines(text) {
			if l.Lo >= l.Hi || l.Lo < before.Hi {
				t.Errorf("%s: %+v after %+v", file, l, before)
			}
			n, before, stack = n+1, l, stack || string(name) == "[stack]" && l.Prot&(Read|Write) == Read|Write && !l.Shared
		}
		if want := strings.Count(string(text), "VmFlags"); !stack || n == 0 || file == "smaps" && n != want {
			t.Errorf("%s: %d mappings of %d, with a stack: %t", file, n, want, stack)
		}
	}
}

// The reader of a whole text by addresses sees the lines that the reader of single lines does, and stops at the text's end.
func TestParseAt(t *testing.T) {
	text := []byte("1000-2000 r--p 0 00:00 0\n2000-3000 rw-s 00001000 fe:01 7   /a b\n3000-4000 ---p 0 00:00 0 [heap]")
	var got []string
	start := address(text)
	for p, end := start, start+uintptr(len(text)); p < end; {
		var l Line
		name, next := l.ParseAt(p, end)
		got = append(got, fmt.Sprintf("%x-%x %d %t %s", l.Lo, l.Hi, l.Prot, l.Shared, strings.TrimSuffix(string(text[name-start:next-start]), "\n")))
		p = next
	}
	if want := "1000-2000 1 false |2000-3000 3 true /a b|3000-4000 0 false [heap]"; strings.Join(got, "|") != want {
		t.Errorf("%q, want %q", got, want)
	}
	for n := range text { // cut anywhere: no byte behind is read
		var l Line
		if name, next := l.ParseAt(start, start+uintptr(n)); next > start+uintptr(n) || name > next || name == 0 && l.Lo|l.Hi != 0 {
			t.Errorf("of %q: the name at %d, the next line at %d", text[:n], name-start, next-start)
		}
	}
}

// Whatever is read as a line says the same when it is written as one again.
func FuzzParse(f *testing.F) {
	f.Add("7f00-8000 r--s 00001000 fe:01 1234                       /data/app.db (deleted)")
	f.Add("00400000-0052b000 r-xp 00001000 fe:01 1234567\n")
	f.Add("- ")
	f.Fuzz(func(t *testing.T, line string) {
		l, name, err := Parse([]byte(line))
		if err != nil {
			if l != (Line{}) || name != nil {
				t.Errorf("%q: %v, but %+v %q", line, err, l, name)
			}
			return
		}
		// The kernel escapes newlines: a second line in the text is the caller's mistake, and stays in the name.
		written := l.String() + string(name)
		if again, rest, err := Parse([]byte(written)); err != nil || again != l || string(rest) != string(name) {
			t.Errorf("%q is %+v %q, but %q is %+v %q, %v", line, l, name, written, again, rest, err)
		}
	})
}
