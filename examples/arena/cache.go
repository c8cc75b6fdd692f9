package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// slotSize is what one value takes: a word for its length, and the value.
const slotSize = 4096

// cache serves values by number out of memory that it was given.
type cache struct {
	*http.ServeMux

	mu     sync.RWMutex
	memory []byte
}

func newCache(memory []byte) *cache {
	c := &cache{ServeMux: http.NewServeMux(), memory: memory}
	c.HandleFunc("GET /cache/{slot}", c.get)
	c.HandleFunc("PUT /cache/{slot}", c.put)
	return c
}

// slot is the part of the memory that a request is about.
func (c *cache) slot(r *http.Request) ([]byte, error) {
	n, err := strconv.Atoi(r.PathValue("slot"))
	if err != nil || n < 0 || n >= len(c.memory)/slotSize {
		return nil, errors.New("no such slot")
	}
	return c.memory[n*slotSize : (n+1)*slotSize], nil
}

func (c *cache) get(w http.ResponseWriter, r *http.Request) {
	slot, err := c.slot(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	c.mu.RLock()
	n := binary.LittleEndian.Uint32(slot)
	// A copy, not the slot itself, goes to the connection: in user mode only, write(2) refuses memory that was not
	// touched before. That is why main may allow it.
	value := append([]byte(nil), slot[4:4+n]...)
	c.mu.RUnlock()
	if n == 0 {
		http.Error(w, "empty", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Write(value)
}

func (c *cache) put(w http.ResponseWriter, r *http.Request) {
	slot, err := c.slot(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	value, err := io.ReadAll(http.MaxBytesReader(w, r.Body, slotSize-4))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	binary.LittleEndian.PutUint32(slot, uint32(len(value)))
	copy(slot[4:], value)
	w.WriteHeader(http.StatusNoContent)
}
