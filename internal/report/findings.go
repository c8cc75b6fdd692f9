package report

import (
	"io"
	"strings"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// RenderFindings writes what the result means, with what to try. Commands in it are about the recording of the name.
func RenderFindings(w io.Writer, list []summary.Finding, recording string) error {
	if len(list) == 0 {
		return nil
	}
	text := "What it means\n"
	for _, f := range list {
		text += "  - " + f.Text + "\n      try: " + f.Try + "\n      see: " + f.Evidence + "\n"
	}
	_, err := io.WriteString(w, strings.ReplaceAll(text, "RECORDING", recording)+"\n")
	return err
}
