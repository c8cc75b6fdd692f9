package agent

import "path"

// Grouping is what files that a pattern finds are added up by, see WithGrouping.
type Grouping uint8

// The groupings.
const (
	// GroupAuto: the first 8 files of a pattern stand each for itself, and all others for their pattern.
	GroupAuto Grouping = iota
	// GroupFile: each path for itself, up to 1,024 of them. Metrics name the first 12, and add up the others.
	GroupFile
	// GroupDirectory: each directory.
	GroupDirectory
	// GroupPattern: each pattern of WithFiles.
	GroupPattern
)

// aloneMost is how many paths of a pattern stand for themselves with GroupAuto.
const aloneMost = 8

func (g Grouping) String() string {
	switch g {
	case GroupFile:
		return "file"
	case GroupDirectory:
		return "directory"
	case GroupPattern:
		return "pattern"
	}
	return "auto"
}

// of is the group of a file that a pattern has found. A path keeps its group, so that its totals stay together. The caller
// serialises the calls.
func (g Grouping) of(p *pattern, file string) string {
	switch {
	case p.isPath() || g == GroupFile:
		return file
	case g == GroupDirectory:
		return path.Dir(file) + "/"
	case g == GroupPattern:
		return p.text
	case p.alone[file]:
		return file
	case len(p.alone) == aloneMost:
		return p.text
	}
	if p.alone == nil {
		p.alone = make(map[string]bool)
	}
	p.alone[file] = true
	return file
}
