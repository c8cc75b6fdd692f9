// Package sqlite is a service over SQLite, by whichever driver.
package sqlite

import (
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"github.com/firsttouch/firsttouch/e2e/field/service"
)

const rows = 20000

// Service is one by the driver of that name.
func Service(driver string) service.Service {
	at := func(dir string) (*database, error) {
		db, err := sql.Open(driver, filepath.Join(dir, "rows.db"))
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(1)
		_, err = db.Exec("PRAGMA mmap_size=268435456")
		return &database{db}, err
	}
	return service.Service{
		Prepare: func(dir string) error {
			d, err := at(dir)
			if err != nil {
				return err
			}
			if err := d.fill("rows", rows); err != nil {
				return err
			}
			return d.Close()
		},
		Open: func(dir string) (service.Instance, error) {
			d, err := at(dir)
			if err != nil {
				return nil, err
			}
			var n int // maps the file
			return d, d.QueryRow("SELECT n FROM rows WHERE id = 1").Scan(&n)
		},
	}
}

type database struct{ *sql.DB }

// fill makes a table.
func (d *database) fill(table string, n int) error {
	if _, err := d.Exec("CREATE TABLE " + table + " (id INTEGER PRIMARY KEY, n INTEGER, text TEXT)"); err != nil {
		return err
	}
	t, err := d.Begin()
	if err != nil {
		return err
	}
	s, err := t.Prepare("INSERT INTO " + table + " VALUES (?, ?, ?)")
	if err != nil {
		return err
	}
	for i := range n {
		if _, err := s.Exec(i, i*i, strings.Repeat(fmt.Sprint("row ", i, " "), 30)); err != nil {
			return err
		}
	}
	return t.Commit()
}

func (d *database) Query(w io.Writer) error {
	r := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		var n int
		var text string
		if err := d.QueryRow("SELECT n, text FROM rows WHERE id = ?", r.IntN(rows)).Scan(&n, &text); err != nil {
			return err
		}
		fmt.Fprintln(w, n, text)
	}
	return nil
}

// Change makes the file longer, so that it is mapped anew, and writes all of it again.
func (d *database) Change() error {
	if err := d.fill("more", rows/4); err != nil {
		return err
	}
	var n int
	if err := d.QueryRow("SELECT count(*) FROM more").Scan(&n); err != nil || n != rows/4 {
		return fmt.Errorf("%d rows more: %v", n, err)
	}
	if _, err := d.Exec("DROP TABLE more"); err != nil {
		return err
	}
	if _, err := d.Exec("VACUUM"); err != nil {
		return err
	}
	return d.QueryRow("SELECT n FROM rows WHERE id = 1").Scan(&n)
}
