//go:build linux && (amd64 || arm64)

package confined

import (
	"os"
	"regexp"
	"strconv"
	"strings"
)

var numberLine = regexp.MustCompile(`(?m)^\tSYS_([A-Z0-9_]+)\s*= (\d+)`)

// systemCalls are the numbers of this architecture, from the table of golang.org/x/sys, a copy of which the test gives.
func systemCalls() (map[string]uint32, error) {
	text, err := os.ReadFile(os.Getenv("FIRSTTOUCH_TEST_NUMBERS"))
	if err != nil {
		return nil, err
	}
	out := make(map[string]uint32)
	for _, m := range numberLine.FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.ParseUint(m[2], 10, 32)
		if err != nil {
			return nil, err
		}
		out[strings.ToLower(m[1])] = uint32(n)
	}
	return out, nil
}
