package demo

import (
	"sync"

	"github.com/firsttouch/firsttouch/agent"
)

// answers is a cache of answers in memory outside the Go heap, as services have for large values: the garbage
// collector does not look there. The oldest answers make room for new ones.
type answers struct {
	mu     sync.Mutex // guards what follows
	memory []byte
	next   int // where the next answer goes
	at     map[string]place
	order  []string // the keys, oldest first
}

// place is where an answer is.
type place struct{ from, to int }

// arenaName is the cache's name among the regions.
const arenaName = "answers"

func newAnswers(a *agent.Agent, size int) (*answers, error) {
	arena, err := a.Arena(arenaName, size)
	if err != nil {
		return nil, err
	}
	// The arena lives as long as the process.
	return &answers{memory: arena.Bytes(), at: make(map[string]place)}, nil
}

// Get returns a copy: without privileges, memory not touched yet must not be handed to a system call.
func (c *answers) Get(key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.at[key]
	if !ok {
		return nil, false
	}
	return append([]byte(nil), c.memory[p.from:p.to]...), true
}

// Put keeps an answer, unless it is too long.
func (c *answers) Put(key string, text []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.at[key]; ok || len(text) > len(c.memory)/8 {
		return
	}
	if c.next+len(text) > len(c.memory) {
		c.clear(c.next, len(c.memory))
		c.next = 0
	}
	p := place{c.next, c.next + len(text)}
	c.clear(p.from, p.to)
	copy(c.memory[p.from:], text)
	c.at[key], c.next = p, p.to
	c.order = append(c.order, key)
}

// clear forgets the answers that have a part of a range: they are the oldest.
func (c *answers) clear(from, to int) {
	for len(c.order) > 0 {
		p := c.at[c.order[0]]
		if p.to <= from || p.from >= to {
			return
		}
		delete(c.at, c.order[0])
		c.order = c.order[1:]
	}
}
