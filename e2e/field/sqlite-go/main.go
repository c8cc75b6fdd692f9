//go:build field

// Command sqlite-go is SQLite, translated from C to Go.
package main

import (
	"github.com/firsttouch/firsttouch/e2e/field/service"
	"github.com/firsttouch/firsttouch/e2e/field/sqlite"
	_ "modernc.org/sqlite"
)

func main() { service.Main(sqlite.Service("sqlite")) }
