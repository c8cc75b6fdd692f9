package agent

import (
	"bufio"
	"bytes"
	"os"
	"path"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
)

// figures reads what the system says of the process's memory. What it does not say is left out.
type figures struct {
	root string // of the file system; a test has its own

	mu   sync.Mutex // guards what follows
	base int64      // bytes that were read from devices before the agent started; below 0 where that is not known
	maps int64      // mappings, counted at mapsAt: a list of 65,530 takes 60 ms
	at   time.Time
}

// mapsFor is for how long a count of the mappings is good.
const mapsFor = 30 * time.Second

func newFigures(root string) *figures {
	f := &figures{root: root}
	f.base = f.number("proc/self/io", "read_bytes:")
	return f
}

// now reads all of it, in some 100 µs, and longer every 30 s.
func (f *figures) now() (list []recording.Figure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	add := func(name string, n int64) {
		if n >= 0 {
			list = append(list, recording.Figure{Name: name, Value: n})
		}
	}
	for _, x := range []struct{ key, name string }{
		{"RssAnon:", "resident_anonymous_bytes"}, {"RssFile:", "resident_files_bytes"}, {"RssShmem:", "resident_shared_bytes"},
		{"VmSwap:", "swapped_bytes"}, {"VmPTE:", "page_tables_bytes"}, {"VmLck:", "locked_bytes"},
	} {
		if n := f.number("proc/self/status", x.key); n >= 0 {
			add(x.name, n<<10)
		}
	}
	goes := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(goes)
	for i, name := range []string{"go_heap_objects_bytes", "go_heap_released_bytes", "go_stacks_bytes"} {
		if goes[i].Value.Kind() == metrics.KindUint64 {
			add(name, int64(goes[i].Value.Uint64()))
		}
	}
	if n := f.number("proc/self/io", "read_bytes:"); n >= 0 && f.base >= 0 {
		add("device_reads_bytes", n-f.base)
	}
	if time.Since(f.at) > mapsFor {
		f.maps, f.at = -1, time.Now()
		if text, err := os.ReadFile(path.Join(f.root, "proc/self/maps")); err == nil {
			f.maps = int64(bytes.Count(text, []byte{'\n'}))
		}
	}
	add("mappings", f.maps)
	add("mappings_limit", f.number("proc/sys/vm/max_map_count", ""))
	f.cgroup(add)
	return list
}

// cgroup adds what the control group of version 2 has, and the least limit of all above it.
func (f *figures) cgroup(add func(string, int64)) {
	text, err := os.ReadFile(path.Join(f.root, "proc/self/cgroup"))
	if err != nil {
		return
	}
	of, found := "", false
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "0::"); ok {
			of, found = path.Join("sys/fs/cgroup", strings.TrimSpace(rest)), true
		}
	}
	if !found {
		return
	}
	limit := int64(-1)
	for dir := of; strings.HasPrefix(dir, "sys/fs/cgroup"); dir = path.Dir(dir) {
		if n := f.number(path.Join(dir, "memory.max"), ""); n >= 0 && (limit < 0 || n < limit) { // "max" is no number
			limit = n
		}
	}
	add("cgroup_limit_bytes", limit)
	add("cgroup_used_bytes", f.number(path.Join(of, "memory.current"), ""))
	for _, x := range []struct{ key, name string }{
		{"active_file", "cgroup_active_files_bytes"}, {"inactive_file", "cgroup_inactive_files_bytes"}, {"workingset_refault_file", "cgroup_refaults_of_files"},
		{"workingset_refault_anon", "cgroup_refaults_anonymous"},
	} {
		add(x.name, f.number(path.Join(of, "memory.stat"), x.key+" "))
	}
	add("cgroup_out_of_memory_kills", f.number(path.Join(of, "memory.events"), "oom_kill "))
	if text, err := os.ReadFile(path.Join(f.root, of, "memory.pressure")); err == nil {
		for _, kind := range []string{"some", "full"} {
			for line := range strings.Lines(string(text)) {
				if total, ok := strings.CutPrefix(line, kind+" "); ok {
					_, total, _ = strings.Cut(total, "total=")
					if n, err := strconv.ParseInt(strings.TrimSpace(total), 10, 64); err == nil {
						add("cgroup_pressure_"+kind+"_us", n)
					}
				}
			}
		}
	}
}

// number reads the number behind a key at the start of a line, or the first one of a file without a key; -1 where there is none.
func (f *figures) number(name, key string) int64 {
	file, err := os.Open(path.Join(f.root, name))
	if err != nil {
		return -1
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), key); ok {
			fields := strings.Fields(rest)
			if len(fields) == 0 {
				return -1
			}
			n, err := strconv.ParseInt(fields[0], 10, 64)
			if err != nil {
				return -1
			}
			return n
		}
	}
	return -1
}
