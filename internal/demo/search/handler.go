// Package search is the demo's service: HTTP in front of the identifier index. It knows nothing of
// the profiler, as a service that is profiled should not have to.
package search

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/firsttouch/firsttouch/internal/demo/index"
)

// How much an answer lists.
const (
	hitLimit    = 20
	prefixLimit = 100
	filesLimit  = 50
)

// Cache holds answers by what was asked. It is safe for concurrent use.
type Cache interface {
	Get(key string) (text []byte, ok bool) // a copy
	Put(key string, text []byte)
}

// Register adds the service's routes to mux, each wrapped for itself, so that what wraps them knows
// the route:
//
//	GET /identifiers/{name}    where an identifier occurs, with counts by directory and the first lines
//	GET /prefix/{prefix}       which identifiers start with prefix
//	GET /together/{a}/{b}      which files contain both
//
// All answers are JSON, 404 where there is no such identifier. With a cache, which may be nil, they are kept in it.
func Register(mux *http.ServeMux, ix *index.Index, cache Cache, wrap func(http.Handler) http.Handler) {
	route := func(pattern string, answerer func(*http.Request) (any, error)) {
		mux.Handle(pattern, wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if cache != nil {
				if text, ok := cache.Get(r.URL.Path); ok {
					send(w, text)
					return
				}
			}
			found, err := answerer(r)
			if text, ok := answer(w, found, err); ok && cache != nil {
				cache.Put(r.URL.Path, text)
			}
		})))
	}
	route("GET /identifiers/{name}", func(r *http.Request) (any, error) {
		return ix.Lookup(r.PathValue("name"), hitLimit)
	})
	route("GET /prefix/{prefix}", func(r *http.Request) (any, error) {
		return ix.Prefix(r.PathValue("prefix"), prefixLimit)
	})
	route("GET /together/{a}/{b}", func(r *http.Request) (any, error) {
		return ix.Together(r.PathValue("a"), r.PathValue("b"), filesLimit)
	})
}

// LookupPath is the path of a request for an identifier.
func LookupPath(name string) string { return "/identifiers/" + url.PathEscape(name) }

// PrefixPath is the path of a request for the identifiers with a prefix.
func PrefixPath(prefix string) string { return "/prefix/" + url.PathEscape(prefix) }

// TogetherPath is the path of a request for the files with two identifiers.
func TogetherPath(a, b string) string {
	return "/together/" + url.PathEscape(a) + "/" + url.PathEscape(b)
}

// answer writes what was copied out of the database, and returns it where there was something. Nothing of
// the mapping itself may get here: see package index.
func answer(w http.ResponseWriter, found any, err error) (text []byte, ok bool) {
	switch {
	case errors.Is(err, index.ErrNoName):
		http.Error(w, err.Error(), http.StatusNotFound)
		return nil, false
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return nil, false
	}
	if text, err = json.Marshal(found); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return nil, false
	}
	text = append(text, '\n')
	send(w, text)
	return text, true
}

func send(w http.ResponseWriter, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // the client went away
}
