package agent

import (
	"os"

	"github.com/firsttouch/firsttouch/internal/procmaps"
	"github.com/firsttouch/firsttouch/profiler"
)

// mappedFiles lists the files that this process has mapped.
func mappedFiles() (map[profiler.MappedFile]profiler.MappedAs, error) {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	return filesIn(text), nil
}

// filesIn are the files of a text as /proc/self/maps. A deleted file has " (deleted)" behind its path and so never
// matches a pattern of the path alone.
func filesIn(text []byte) map[profiler.MappedFile]profiler.MappedAs {
	files := make(map[profiler.MappedFile]profiler.MappedAs)
	for l, name := range procmaps.Lines(text) {
		if f, ok := fileOf(l, name); ok {
			files[f] = joined(files[f], mappedAs(l))
		}
	}
	return files
}

// fileOf is the file of a mapping, if it has one.
func fileOf(l procmaps.Line, name []byte) (f profiler.MappedFile, ok bool) {
	if len(name) == 0 || name[0] != '/' {
		return f, false
	}
	return profiler.MappedFile{Path: procmaps.Path(name), Dev: l.Dev, Inode: l.Inode}, true
}

func mappedAs(l procmaps.Line) profiler.MappedAs {
	writable := l.Prot&procmaps.Write != 0
	return profiler.MappedAs{Code: l.Prot&procmaps.Exec != 0, Writable: l.Shared && writable, Readable: l.Shared && !writable}
}

// joined is what a file is that is mapped as both.
func joined(a, b profiler.MappedAs) profiler.MappedAs {
	return profiler.MappedAs{Code: a.Code || b.Code, Writable: a.Writable || b.Writable, Readable: a.Readable || b.Readable}
}
