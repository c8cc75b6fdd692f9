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

// mappedFiles lists the files that this process has mapped, each with whether one of its mappings
// is executable.
func mappedFiles() (map[mappedFile]bool, error) {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	return parseMaps(text), nil
}

// parseMaps reads lines of proc_pid_maps(5): range, permissions, offset, device, inode and, for
// a file, padding and the path. A deleted file has " (deleted)" behind its path and so never
// matches a pattern of the path alone.
func parseMaps(text []byte) map[mappedFile]bool {
	files := make(map[mappedFile]bool)
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
		files[f] = files[f] || fields[1][2] == 'x'
	}
	return files
}

// unescape undoes the one escape of the kernel's list, of the newline (seq_path with "\n").
func unescape(path string) string {
	return strings.ReplaceAll(path, `\012`, "\n")
}
