//go:build library

package main

import "C"

//export Run
func Run() C.int { return C.int(run()) }
