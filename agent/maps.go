package agent

import (
	"bytes"
	"os"
	"strings"
)

// mappedFile is one file among the mappings of this process. Two files can have had one path.
type mappedFile struct {
	path   string // as the kernel shows it
	device string // major:minor
	inode  string
}

// mappedAs is what the mappings of a file are, at least one of them.
type mappedAs struct {
	code     bool // executable
	writable bool // shared, can be written to
	readable bool // shared, cannot be written to
}

// mappedFiles lists the files that this process has mapped.
func mappedFiles() (map[mappedFile]mappedAs, error) {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	return parseMaps(text), nil
}

// parseMaps reads lines of proc_pid_maps(5): range, permissions, offset, device, inode and, for
// a file, padding and the path. A deleted file has " (deleted)" behind its path and so never
// matches a pattern of the path alone.
func parseMaps(text []byte) map[mappedFile]mappedAs {
	files := make(map[mappedFile]mappedAs)
	for line := range bytes.Lines(text) {
		slash := bytes.IndexByte(line, '/')
		if slash < 0 {
			continue
		}
		// Only the path may hold a slash, and "[heap]" and its like do not.
		fields := bytes.Fields(line[:slash])
		if len(fields) != 5 || len(fields[1]) != 4 {
			continue
		}
		f := mappedFile{
			path:   unescape(string(bytes.TrimSuffix(line[slash:], []byte{'\n'}))),
			device: string(fields[3]), inode: string(fields[4]),
		}
		as := files[f]
		writable, shared := fields[1][1] == 'w', fields[1][3] == 's'
		files[f] = mappedAs{as.code || fields[1][2] == 'x', as.writable || shared && writable, as.readable || shared && !writable}
	}
	return files
}

// unescape undoes the one escape of the kernel's list, of the newline (seq_path with "\n").
func unescape(path string) string {
	return strings.ReplaceAll(path, `\012`, "\n")
}
