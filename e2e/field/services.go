package main

import "strings"

// service is a program in the directory of its name.
type service struct {
	name   string
	module string // of the library, or empty
	system string // a library that is no Go module
	about  string
	files  []string // patterns of what is observed, in its directory
	memory bool     // what is observed is in no file
	quick  bool     // quick to compile and to run
	needs  string   // what may be missing where it cannot be compiled
	// warm: all pages are touched while it is opened, maybe after the mapping was found, so that the first questions need not touch any anew.
	warm bool
	// refused is what the notes say where nothing can be observed, by the run and the stage; empty where all can.
	refused func(k key, stage int) string
	// excuses are why a cell is not as it should be through no fault of the profiler.
	excuses []excuse
}

// excuse says whose fault it is, for the runs that it matches: empty fields match all.
type excuse struct {
	load, user, mode string
	why              string
}

func (s *service) excuse(k key) string {
	for _, e := range s.excuses {
		if (e.load == "" || e.load == k.Load) && (e.user == "" || e.user == k.User) && (e.mode == "" || e.mode == k.Mode) {
			return e.why
		}
	}
	return ""
}

// atFirst is said in the first stage.
func atFirst(text string) func(key, int) string {
	return func(_ key, stage int) string {
		if stage == 0 {
			return text
		}
		return ""
	}
}

// block is the directory of a block of Prometheus; one that is being made or deleted has a longer name.
const block = "??????????????????????????"

// failing is said where system calls would fail.
func failing(text string) func(key, int) string {
	return func(k key, _ int) string {
		if k.User != "root" || k.Mode == "signal" {
			return text
		}
		return ""
	}
}

func names() string {
	var list []string
	for _, s := range services {
		list = append(list, s.name)
	}
	return strings.Join(list, ", ")
}

var services = []service{
	{
		name: "maxmind", module: "github.com/oschwald/maxminddb-golang/v2", files: []string{"*.mmdb"}, quick: true,
		about: "400 addresses are looked up in a database of 60,000 networks, which mmdbwriter has made. Then a new file takes its name, and a new reader the old one's place.",
	},
	{
		name: "shortlived", files: []string{"*.seg"},
		about: "50 files are mapped and read. Then 19 times 50 others take their place, each for 50 ms, with a name of its own.",
	},
	{
		name: "prometheus", module: "github.com/prometheus/prometheus", files: []string{block + "/index", block + "/chunks/*", "chunks_head/*"},
		about: "Prometheus' database (tsdb) with four blocks and a head: some series are asked for in each block. Then it compacts, which writes a block and deletes those that it was made of.",
	},
	{
		name: "etcd", module: "go.etcd.io/etcd/server/v3", files: []string{"etcd/member/snap/db"}, warm: true,
		about: "A server with 6,000 keys, which maps 10 GiB with MAP_POPULATE: its client asks for 200 ranges. Then the client has it defragment its database, which a new file takes the place of. While it is started it reads all of the database, so that the first questions touch hardly a page for the first time.",
	},
	{
		name: "sqlite-go", module: "modernc.org/sqlite", files: []string{"rows.db"},
		about: "SQLite, translated to Go, with `PRAGMA mmap_size`: 300 rows of 20,000. Then a table is added, so that the file is mapped anew (mremap), and dropped, and VACUUM writes the file again.",
	},
	{
		name: "sqlite-c", module: "github.com/mattn/go-sqlite3", files: []string{"rows.db"}, needs: "it needs a C compiler",
		about: "The same with SQLite in C (cgo).",
	},
	{
		name: "badger", module: "github.com/dgraph-io/badger/v4", files: []string{"*.sst"}, refused: failing("it is mapped to be written to"),
		about: "A database of 40,000 keys, of which 300 are read from its tables. Then all keys are written again, and it compacts. It maps its tables so that they can be written to; where system calls would fail such files are left alone, unless they are named one by one.",
	},
	{
		name: "bleve", module: "github.com/blevesearch/bleve/v2", files: []string{"index/store/*.zap"},
		about: "A search index (scorch) of 4,000 documents: 20 phrases. Then documents are added, and all segments merged into one.",
	},
	{
		name: "lmdb", system: "liblmdb of Debian", files: []string{"data.mdb"}, needs: "it needs a C compiler and, on Debian, apt-get install liblmdb-dev",
		about: "LMDB in C (cgo) with a mapping of 16 GiB over a sparse file: 300 keys of 40,000. Then all are written again, and a compacted copy takes the file's place.",
	},
	{
		name: "victoria", module: "github.com/VictoriaMetrics/VictoriaMetrics", files: []string{"*.bin"},
		about: "VictoriaMetrics' reader of files (lib/fs) with its switch `-fs.disableMincore`, in which it reads all by its mappings: 400 reads of six files. Then six others take their place.",
	},
	{
		name: "fastcache", module: "github.com/VictoriaMetrics/fastcache", memory: true, quick: true, refused: func(k key, _ int) string {
			if k.User != "root" && k.Mode != "signal" { // by signal it is observed by its access
				return "user mode only"
			}
			return ""
		},
		about: "A cache outside Go's heap, 64 MiB of memory without a file (Agent.AttachRange): 300 keys of 30,000. Then as many others are set. Delivery by thread refuses memory that exists already where system calls would fail.",
	},
	{
		name: "locked", files: []string{"locked.data"}, quick: true, refused: atFirst("the memory is locked"),
		about: "A file is read while the process has locked all its memory, also what is to come (mlockall), or as an ordinary user the file (mlock): all of it is there, so nothing can be observed, which the notes say. Then it is unlocked, and mapped again.",
	},
	{
		name: "blocked", files: []string{"blocked.data"}, quick: true, refused: atFirst("blocks signal"), needs: "it needs a C compiler",
		about: "A file is read while a thread of C blocks all signals: nothing can be armed, and the notes name the thread. Then the thread ends.",
	},
}
