package summary

import (
	"maps"
	"slices"
	"strings"
)

// Labels are the shortest ends of paths that tell names apart: "index" and "000001" alone say nothing where there are several of them.
// What is no path, such as the name of an arena, stays as it is, and so do two names that are the same.
func Labels(names []string) []string {
	out := make([]string, len(names))
	places := make(map[string][]int) // of each different name
	for i, n := range names {
		places[n] = append(places[n], i)
	}
	left := maps.Clone(places) // those that have no label yet
	for depth := 1; len(left) > 0; depth++ {
		sharing := make(map[string]int)
		for n := range places {
			short, _ := tail(n, depth)
			sharing[strings.TrimPrefix(short, "/")]++
		}
		for n, at := range left {
			if short, whole := tail(n, depth); whole || sharing[short] == 1 {
				for _, i := range at {
					out[i] = short
				}
				delete(left, n)
			}
		}
	}
	return out
}

// tail is the end of a path with so many elements, and whether that is all of it.
func tail(path string, elements int) (string, bool) {
	end := len(path)
	for range elements {
		i := strings.LastIndexByte(path[:end], '/')
		if i <= 0 {
			return path, true
		}
		end = i
	}
	return path[end+1:], false
}

// labelled gives the regions their labels.
func labelled(list []Region) {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	for i, l := range Labels(names) {
		list[i].Label = l
	}
}

// LabelOf is the label of a region by its name, or the name where it is none of the summary's.
func (s *Summary) LabelOf(name string) string {
	if i := slices.IndexFunc(s.Regions, func(r Region) bool { return r.Name == name }); i >= 0 {
		return s.Regions[i].Label
	}
	return name
}
