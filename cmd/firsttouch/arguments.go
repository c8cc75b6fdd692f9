package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// want checks the number of arguments, and names what is missing with an example. The arguments are in words, such as "a recording or a
// live agent".
func want(example string, arguments ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < len(arguments) {
			return fmt.Errorf("%s wants %s, for example: %s %s", c.Name(), arguments[len(args)], c.CommandPath(), example)
		}
		if len(args) > len(arguments) {
			return fmt.Errorf("%s takes %d argument(s), and %q is one more: for example %s %s", c.Name(), len(arguments), args[len(arguments)], c.CommandPath(), example)
		}
		return nil
	}
}

// wantSource is want for the commands that read one recording.
func wantSource() cobra.PositionalArgs {
	return want("firsttouch-demo/recording.ftr", "a recording (a file), or the address of a live agent such as :6060")
}
