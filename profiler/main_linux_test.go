//go:build linux && (amd64 || arm64)

package profiler

import (
	"flag"
	"os"
	"testing"
)

// atOnce is how many tests run side by side where nobody says: those that may are children, which wait for most of
// their time.
const atOnce = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
