package agent

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"github.com/firsttouch/firsttouch/profiler"
)

// mappedFiles lists the files that this process has mapped.
func mappedFiles() (map[profiler.MappedFile]profiler.MappedAs, error) {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	return parseMaps(text), nil
}

// parseMaps reads lines of proc_pid_maps(5): range, permissions, offset, device, inode and, for
// a file, padding and the path. A deleted file has " (deleted)" behind its path and so never
// matches a pattern of the path alone.
func parseMaps(text []byte) map[profiler.MappedFile]profiler.MappedAs {
	files := make(map[profiler.MappedFile]profiler.MappedAs)
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
		major, minor, _ := strings.Cut(string(fields[3]), ":")
		var v [3]uint64
		for i, number := range []string{major, minor, string(fields[4])} {
			v[i], _ = strconv.ParseUint(number, []int{16, 16, 10}[i], 64)
		}
		f := profiler.MappedFile{Path: unescape(string(bytes.TrimSuffix(line[slash:], []byte{'\n'}))), Dev: v[0]<<32 | v[1], Inode: v[2]}
		as := files[f]
		writable, shared := fields[1][1] == 'w', fields[1][3] == 's'
		files[f] = profiler.MappedAs{
			Code: as.Code || fields[1][2] == 'x', Writable: as.Writable || shared && writable, Readable: as.Readable || shared && !writable,
		}
	}
	return files
}

// unescape undoes the one escape of the kernel's list, of the newline (seq_path with "\n").
func unescape(path string) string {
	return strings.ReplaceAll(path, `\012`, "\n")
}
