package demo

import "fmt"

// PageCache says how much of the database the kernel's page cache held when the requests began.
type PageCache struct {
	Bytes   int64  `json:"bytes"`   // size of the file
	Before  int64  `json:"before"`  // bytes of it in the page cache, before it was dropped
	After   int64  `json:"after"`   // and after
	Refusal string `json:"refusal"` // why it was not dropped, or is not known to be; empty when it was
}

// coldShare is the part of the file that may stay behind without being worth a word.
const coldShare = 0.01

// judge fills in the refusal from what was measured.
func (p *PageCache) judge() {
	if float64(p.After) > coldShare*float64(p.Bytes) {
		p.Refusal = fmt.Sprintf("the system kept %d of %d bytes of the database in the page cache: "+
			"it may be on tmpfs, mapped or locked by another process, or belong to another user; "+
			"with -cache it can lie elsewhere", p.After, p.Bytes)
	}
}
