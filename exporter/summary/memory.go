package summary

import (
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/profiler"
)

// Figure is what the system says of the memory of the process, see recording.Figure, and in words.
type Figure struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
	Text  string `json:"text"` // the value with its unit, and what it is a part of
}

// figures are those of a recording, in words.
func figures(r *recording.Recording) []Figure {
	out := []Figure{}
	for _, f := range r.Memory {
		out = append(out, Figure{f.Name, f.Value, inWords(f)})
	}
	s := &Summary{Memory: out}
	partOf := func(name, whole string) {
		part, ok := s.Figure(name)
		if all, known := s.Figure(whole); ok && known && all > 0 {
			for i := range out {
				if out[i].Name == name {
					out[i].Text += ", " + Percent(float64(part)/float64(all)) + " of the limit"
				}
			}
		}
	}
	partOf("mappings", "mappings_limit")
	partOf("cgroup_used_bytes", "cgroup_limit_bytes")
	if read := DiskTouched(r.Snapshot); read > 0 {
		if device, ok := s.Figure("device_reads_bytes"); ok {
			for i := range out {
				if out[i].Name == "device_reads_bytes" {
					out[i].Text += "; " + Bytes(read) + " of what was touched came from the disk: " + digits(float64(device)/float64(read)) + " bytes are read for one that is touched"
				}
			}
		}
	}
	return out
}

func inWords(f recording.Figure) string {
	switch {
	case strings.HasSuffix(f.Name, "_bytes"):
		return Bytes(f.Value)
	case strings.HasSuffix(f.Name, "_us"):
		return Duration(time.Duration(f.Value) * time.Microsecond)
	}
	return Count(f.Value)
}

// Figure returns the figure of a name, and whether it is known.
func (s *Summary) Figure(name string) (int64, bool) {
	for i := range s.Memory {
		if s.Memory[i].Name == name {
			return s.Memory[i].Value, true
		}
	}
	return 0, false
}

// FigureName is the name of a figure in words.
func FigureName(name string) string {
	for _, unit := range []string{"_bytes", "_us"} {
		name = strings.TrimSuffix(name, unit)
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "_", " "), "go ", "Go ")
}

// DiskTouched is how many bytes were made accessible that had to be read from storage, as estimated where a part of a region was observed.
func DiskTouched(s *profiler.Snapshot) int64 {
	sum := 0.0
	for i := range s.Groups {
		if g := &s.Groups[i]; g.Source == profiler.SourceDisk {
			sum += estimateOf(s, g).Bytes
		}
	}
	return int64(sum)
}
