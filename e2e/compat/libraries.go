package main

// library is whose tests are run. Packages are those that map files.
type library struct {
	name, about, module, version string
	packages                     []string // with the regular expression of tests for -quick behind a space, and of those that are left out behind another
	code                         string   // more for the wrapper
	imports                      string
	args                         []string
}

var libraries = []library{
	{
		name: "bbolt", about: "key-value store, maps its one file", module: "go.etcd.io/bbolt", version: "v1.5.0",
		packages: []string{
			". ^Test(Bucket_|Cursor_|Tx_|DB_Open|DB_Update|DB_View|Open) ",
			"./internal/freelist .* ",
		},
		args: []string{"-short"},
	},
	{
		name: "sqlite", about: "SQL database, translated from C, with PRAGMA mmap_size", module: "modernc.org/sqlite", version: "v1.62.0",
		packages: []string{". ^Test(Scalar|Blob|Concurrent|Issue|Persist|Backup|Null|Time) "},
		imports:  `sqlite "modernc.org/sqlite"; "context"; "database/sql/driver"`,
		code: `sqlite.RegisterConnectionHook(func(c sqlite.ExecQuerierContext, _ string) error {
			_, err := c.ExecContext(context.Background(), "PRAGMA mmap_size=268435456", []driver.NamedValue{})
			return err
		})`,
		args: []string{"-short"},
	},
	{
		name: "badger", about: "key-value store, maps tables, value logs and memory tables", module: "github.com/dgraph-io/badger/v4", version: "v4.9.6",
		packages: []string{
			"./table .* ",
			". ^Test(Write|Get|Iterate|Value|Txn|Delete|ForceCompactL0|Basic) ",
		},
		args: []string{"-short"},
	},
	{
		name: "zapx", about: "file format of the search index bleve, maps its segments", module: "github.com/blevesearch/zapx/v16", version: "v16.3.2",
		packages: []string{". .* "},
	},
}
