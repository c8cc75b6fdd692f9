//go:build field

// Command sqlite-c is SQLite in C.
package main

import (
	"github.com/firsttouch/firsttouch/e2e/field/service"
	"github.com/firsttouch/firsttouch/e2e/field/sqlite"
	_ "github.com/mattn/go-sqlite3"
)

func main() { service.Main(sqlite.Service("sqlite3")) }
