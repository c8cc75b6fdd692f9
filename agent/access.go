package agent

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
)

// requestsMost is how many requests are served at a time: each may take a snapshot, whose memory grows with
// what was touched.
const requestsMost = 16

// bodyMost is more than anybody has to say: no endpoint reads a body.
const bodyMost = 4 << 10

// limited puts in front of the endpoints what all of them ask: the token, and that there are not too many requests.
func (a *Agent) limited(next http.Handler) http.Handler {
	slots := make(chan struct{}, requestsMost)
	want := sha256.Sum256([]byte(a.cfg.token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.cfg.token != "" {
			scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			// Of the hashes, so that the time tells nothing, not even the length.
			got := sha256.Sum256([]byte(given))
			if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
				w.Header().Set("WWW-Authenticate", `Bearer realm="firsttouch"`)
				http.Error(w, "the header Authorization: Bearer is missing, or has another token than FIRSTTOUCH_TOKEN", http.StatusUnauthorized)
				return
			}
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests at a time", http.StatusTooManyRequests)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyMost)
		next.ServeHTTP(w, r)
	})
}

// localOnly refuses requests for another host than this one: a web page can give its own name an address of
// loopback, and have a browser here read what it must not see (DNS rebinding).
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.Trim(host, "[]")
		if !strings.EqualFold(host, "localhost") && net.ParseIP(host) == nil {
			http.Error(w, "this is for localhost: use it, or an address, in place of the host's name", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func refuseAddresses(w http.ResponseWriter) {
	http.Error(w, "addresses are not shown: start the agent with WithAddresses or FIRSTTOUCH_ADDRESSES=true", http.StatusForbidden)
}
