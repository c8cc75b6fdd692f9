//go:build field

// Command lmdb reads a database of LMDB, which is in C, and replaces it by a compacted copy.
package main

/*
#cgo LDFLAGS: -llmdb
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

static int open_env(const char *path, size_t size, MDB_env **env) {
	int e = mdb_env_create(env);
	if (e == 0)
		e = mdb_env_set_mapsize(*env, size);
	if (e == 0)
		e = mdb_env_open(*env, path, MDB_NORDAHEAD, 0644);
	return e;
}

// put writes keys from a number on, each with a value of its length.
static int put(MDB_env *env, unsigned from, unsigned n, size_t length) {
	MDB_txn *txn;
	MDB_dbi dbi;
	char *text = malloc(length);
	int e = mdb_txn_begin(env, 0, 0, &txn);
	if (e)
		return e;
	e = mdb_dbi_open(txn, 0, MDB_INTEGERKEY, &dbi);
	for (unsigned i = from; e == 0 && i < from + n; i++) {
		MDB_val k = {sizeof i, &i}, v = {length, text};
		memset(text, 'a' + i % 26, length);
		memcpy(text, &i, sizeof i);
		e = mdb_put(txn, dbi, &k, &v, 0);
	}
	free(text);
	if (e) {
		mdb_txn_abort(txn);
		return e;
	}
	return mdb_txn_commit(txn);
}

// get copies a value.
static int get(MDB_env *env, unsigned i, char *to, size_t most, size_t *length) {
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val k = {sizeof i, &i}, v;
	int e = mdb_txn_begin(env, 0, MDB_RDONLY, &txn);
	if (e)
		return e;
	e = mdb_dbi_open(txn, 0, MDB_INTEGERKEY, &dbi);
	if (e == 0)
		e = mdb_get(txn, dbi, &k, &v);
	if (e == 0) {
		*length = v.mv_size < most ? v.mv_size : most;
		memcpy(to, v.mv_data, *length);
	}
	mdb_txn_abort(txn);
	return e;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"unsafe"

	"github.com/firsttouch/firsttouch/e2e/field/service"
)

func main() { service.Main(service.Service{Prepare: prepare, Open: open}) }

const (
	keys   = 40000
	length = 300
	size   = 16 << 30 // of the mapping; the file is sparse
)

type database struct {
	dir string
	env *C.MDB_env
}

func check(what string, e C.int) error {
	if e == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", what, C.GoString(C.mdb_strerror(e)))
}

func (d *database) start() error {
	path := C.CString(d.dir)
	defer C.free(unsafe.Pointer(path))
	return check("open", C.open_env(path, size, &d.env))
}

func prepare(dir string) error {
	d := &database{dir: dir}
	if err := d.start(); err != nil {
		return err
	}
	for at := 0; at < keys; at += 1000 {
		if err := check("put", C.put(d.env, C.uint(at), 1000, length)); err != nil {
			return err
		}
	}
	return d.Close()
}

func open(dir string) (service.Instance, error) {
	d := &database{dir: dir}
	return d, d.start()
}

func (d *database) Query(w io.Writer) error {
	r := rand.New(rand.NewPCG(15, 16))
	b := make([]byte, length)
	for range 300 {
		var n C.size_t
		if err := check("get", C.get(d.env, C.uint(r.IntN(keys)), (*C.char)(unsafe.Pointer(&b[0])), length, &n)); err != nil {
			return err
		}
		fmt.Fprintf(w, "%q\n", b[:n])
	}
	return nil
}

// Change writes all keys again, has LMDB make a compacted copy, and opens that in place of what was there.
func (d *database) Change() error {
	if err := check("put", C.put(d.env, 0, keys, length)); err != nil {
		return err
	}
	to := filepath.Join(d.dir, "copy")
	if err := errors.Join(os.RemoveAll(to), os.Mkdir(to, 0o755)); err != nil {
		return err
	}
	path := C.CString(to)
	defer C.free(unsafe.Pointer(path))
	if err := check("copy", C.mdb_env_copy2(d.env, path, C.MDB_CP_COMPACT)); err != nil {
		return err
	}
	if err := d.Close(); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(to, "data.mdb"), filepath.Join(d.dir, "data.mdb")); err != nil {
		return err
	}
	return d.start()
}

func (d *database) Close() error {
	C.mdb_env_close(d.env)
	return nil
}
