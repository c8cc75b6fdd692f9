package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/firsttouch/firsttouch/exporter/recording"
)

// What the system says is read as it is; the limit is the least of all control groups above, and what is not said is left out.
func TestFigures(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	get := func(list []recording.Figure, name string) int64 {
		for _, f := range list {
			if f.Name == name {
				return f.Value
			}
		}
		return -1
	}
	write("proc/self/io", "rchar: 9\nread_bytes: 4096\n")
	f := newFigures(root)
	write("proc/self/io", "rchar: 9\nread_bytes: 12288\n")
	write("proc/self/status", "Name:\tx\nRssAnon:\t     12 kB\nRssFile:\t   7 kB\nVmSwap:\t 0 kB\n")
	write("proc/self/maps", "a\nb\nc\n")
	write("proc/sys/vm/max_map_count", "65530\n")
	write("proc/self/cgroup", "12:cpu:/old\n0::/pod/app\n")
	write("sys/fs/cgroup/pod/memory.max", "1000000\n")
	write("sys/fs/cgroup/pod/app/memory.max", "max\n")
	write("sys/fs/cgroup/pod/app/memory.current", "5000\n")
	write("sys/fs/cgroup/pod/app/memory.stat", "file 1\nactive_file 300\ninactive_file 200\nworkingset_refault_file 17\n")
	write("sys/fs/cgroup/pod/app/memory.pressure", "some avg10=1.00 avg60=0.00 avg300=0.00 total=123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=45\n")
	list := f.now()
	for name, want := range map[string]int64{
		"resident_anonymous_bytes": 12 << 10, "resident_files_bytes": 7 << 10, "swapped_bytes": 0, "resident_shared_bytes": -1, "device_reads_bytes": 8192,
		"mappings": 3, "mappings_limit": 65530, "cgroup_limit_bytes": 1000000, "cgroup_used_bytes": 5000, "cgroup_active_files_bytes": 300,
		"cgroup_inactive_files_bytes": 200, "cgroup_refaults_of_files": 17, "cgroup_refaults_anonymous": -1, "cgroup_pressure_some_us": 123, "cgroup_pressure_full_us": 45,
	} {
		if got := get(list, name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	if get(list, "go_heap_objects_bytes") <= 0 {
		t.Errorf("%+v", list)
	}
	if list := newFigures(t.TempDir()).now(); get(list, "mappings") != -1 || get(list, "device_reads_bytes") != -1 {
		t.Errorf("of a system that says nothing: %+v", list)
	}
}
