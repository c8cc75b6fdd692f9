package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/internal/recordings"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// screen is where text for a person goes: a terminal with its width, or anything else as it is.
func screen(c *cobra.Command) io.Writer {
	if f, ok := plain.Raw(c.OutOrStdout()).(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
			return &report.Screen{W: c.OutOrStdout(), Columns: columns}
		}
	}
	return c.OutOrStdout()
}

// toFile writes a result to a file that is either whole or as it was before, or to the standard
// output for "-".
func toFile(c *cobra.Command, name string, binary bool, write func(io.Writer) error) (err error) {
	if name == "-" {
		out := plain.Raw(c.OutOrStdout())
		if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			if binary {
				return fmt.Errorf("%w: -out -: this is no text, and the standard output is a terminal: name a file", recordings.ErrUsage)
			}
			out = c.OutOrStdout()
		}
		return printing(write(&interrupted{c.Context(), out}))
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".firsttouch-*")
	if err != nil {
		return fmt.Errorf("%w: name another file with -out", err)
	}
	err = errors.Join(write(&interrupted{c.Context(), f}), f.Close()) // CreateTemp made it its owner's alone: it names files and functions
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w: name another file with -out", name, err), os.Remove(f.Name()))
	}
	fmt.Fprintln(c.ErrOrStderr(), "wrote", plain.Line(name))
	return nil
}

// interrupted is a writer that fails when ctx has ended.
type interrupted struct {
	ctx context.Context
	w   io.Writer
}

func (i *interrupted) Write(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.w.Write(b)
}
