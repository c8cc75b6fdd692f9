package report

import (
	"io"
	"strings"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// RenderFindings writes what the result means, with what to try. Commands in it name the recording as it is downloaded from a page; here it is the one of the name.
func RenderFindings(w io.Writer, list []summary.Finding, recording string) error {
	if len(list) == 0 {
		return nil
	}
	text := "What it means\n"
	for _, f := range list {
		text += "  - " + f.Text + "\n      try: " + f.Try + "\n      see: " + f.Evidence + "\n"
	}
	_, err := io.WriteString(w, strings.ReplaceAll(text, "recording.ftr", recording)+"\n")
	return err
}
