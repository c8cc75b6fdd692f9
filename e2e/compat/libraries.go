package main

// library is whose tests are run.
type library struct {
	name, about, module, version string

	suites  []suite
	code    string // more for the wrapper, run before any test
	imports string
	short   bool
}

// suite is the tests of one package. Packages that map no file are left out.
type suite struct {
	path  string
	quick string // regular expression of the tests for -quick
	only  string // and of those for a whole run, or empty for all
	why   string // only those, for the page
	leave []omission
}

// omission is tests that are not run, in either run.
type omission struct {
	tests string // regular expression as of go test -skip
	why   string // for the page
}

var libraries = []library{
	{
		name: "bbolt", about: "key-value store, maps its one file", module: "go.etcd.io/bbolt", version: "v1.5.0",
		suites: []suite{
			{path: ".", quick: "^Test(Bucket_|Cursor_|Tx_|DB_Open|DB_Update|DB_View|Open)", leave: []omission{
				{"^TestDB_Open_InitialMmapSize$", "wants a read to take less than 5 s, which a busy machine does not keep"},
			}},
			{path: "./internal/freelist", quick: "."},
		},
		short: true,
	},
	{
		name: "sqlite", about: "SQL database, translated from C; each connection gets PRAGMA mmap_size=256 MiB", module: "modernc.org/sqlite", version: "v1.62.0",
		suites: []suite{{
			path: ".", quick: "^Test(Scalar|Blob|Null)", only: "^Test(Scalar|Blob|Concurrent|Issue|Persist|Backup|Null|Time|V)",
			why: "all of them take longer than the ten minutes that a run may have, without the profiler too",
		}},
		imports: `sqlite "modernc.org/sqlite"; "database/sql/driver"`,
		code: `sqlite.RegisterConnectionHook(func(c sqlite.ExecQuerierContext, _ string) error {
			_, err := c.ExecContext(context.Background(), "PRAGMA mmap_size=268435456", []driver.NamedValue{})
			return err
		})`,
		short: true,
	},
	{
		name: "badger", about: "key-value store, maps tables, value logs and memory tables", module: "github.com/dgraph-io/badger/v4", version: "v4.9.6",
		suites: []suite{
			{path: "./table", quick: "^Test(TableIterator|Seek|IterateFromStart)"},
		},
		short: true,
	},
	{
		name: "zapx", about: "file format of the search index bleve, maps its segments", module: "github.com/blevesearch/zapx/v16", version: "v16.3.2",
		suites: []suite{{path: ".", quick: "."}},
	},
}
