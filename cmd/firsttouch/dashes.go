package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// doubleDashes lets long flags be written with one dash, as Go's own tools have them: the flags
// package in use would read -seed as -s -e -e -d. Values of flags are left as they are.
func doubleDashes(root *cobra.Command, args []string) []string {
	takesValue := flagsOf(root)
	out := append([]string(nil), args...)
	for i := 0; i < len(out); i++ {
		a := out[i]
		if a == "--" {
			break
		}
		if len(a) > 2 && a[0] == '-' && isLetter(a[1]) {
			out[i] = "-" + a
		}
		name, _, assigned := strings.Cut(strings.TrimPrefix(out[i], "--"), "=")
		if takesValue[name] && !assigned && strings.HasPrefix(a, "-") {
			i++ // the next argument is its value, whatever it looks like
		}
	}
	return out
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// flagsOf lists the long flags of all commands, and whether they take a value.
func flagsOf(c *cobra.Command) map[string]bool {
	flags := make(map[string]bool)
	add := func(f *pflag.Flag) { flags[f.Name] = f.NoOptDefVal == "" }
	c.Flags().VisitAll(add)
	for _, sub := range c.Commands() {
		for name, takesValue := range flagsOf(sub) {
			flags[name] = takesValue
		}
	}
	return flags
}
