package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// newVersion is the command; -version of the root is the same.
func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this command, of Go and of the kernel, for reports of faults",
		Args:  cobra.NoArgs,
		RunE: running(func(c *cobra.Command) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "firsttouch", version())
			return printing(err)
		}),
	}
}

// version says what this command was built from and runs on: the module's version or the commit, Go, and the kernel.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	return fmt.Sprintf("%s, %s %s/%s, %s", origin(info), runtime.Version(), runtime.GOOS, runtime.GOARCH, kernel())
}

// origin is the module's version, which names the commit where it is no tag. A build that knows neither, as that of a test, says so.
func origin(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = ", with changes"
		}
	}
	if revision == "" {
		return "(commit unknown: built without version control)"
	}
	return "commit " + revision[:min(len(revision), 12)] + changed
}
