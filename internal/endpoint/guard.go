package endpoint

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
)

// The limits on a request.
const (
	requestsMost = 64      // at a time, of which those beyond answersMost wait for their turn
	bodyMost     = 4 << 10 // more than anybody has to say: no endpoint reads a body
	queryMost    = 4 << 10
)

// shortestToken is one that is not guessed over a network.
const shortestToken = 16

// TokenVariable is where the token is in the environment, of who asks for it and of who brings it.
const TokenVariable = "FIRSTTOUCH_TOKEN"

// CheckToken says what is wrong with a token.
func CheckToken(token string) error {
	if len(token) < shortestToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("token of %d characters: choose %d or more, printable and without spaces", len(token), shortestToken)
	}
	return nil
}

// Guard is what all requests go through. It is safe for concurrent use.
type Guard struct {
	token [sha256.Size]byte
	asks  bool // for the token
	gate  gate
	slots chan struct{}
	// failed is told what a handler panicked with, or is nil.
	failed func(text string)
}

// NewGuard returns a guard that asks for a token, unless that is empty. failed is told of handlers that panic.
func NewGuard(token string, failed func(text string)) *Guard {
	return &Guard{token: sha256.Sum256([]byte(token)), asks: token != "", failed: failed, gate: gate{patience: patience}, slots: make(chan struct{}, requestsMost)}
}

// Handler puts the guard in front of a handler. Before the handler takes memory for an answer, it calls Begin.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, code := g.refusal(r); code != 0 {
			if code == http.StatusUnauthorized {
				w.Header().Add("WWW-Authenticate", `Bearer realm="firsttouch"`)
				w.Header().Add("WWW-Authenticate", `Basic realm="firsttouch", charset="UTF-8"`)
			}
			http.Error(w, text, code)
			return
		}
		select {
		case g.slots <- struct{}{}:
			defer func() { <-g.slots }()
		default:
			tooMany(w)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyMost)
		// No page of somebody else may embed it, in whatever form.
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		a := g.gate.answer(w, r)
		defer g.end(a)
		next.ServeHTTP(a, r)
	})
}

func tooMany(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "too many requests at a time", http.StatusTooManyRequests)
}

// end ends an answer, and keeps a panic in the handler from the service's log.
func (g *Guard) end(a *answer) {
	p := recover()
	began := a.end()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	if g.failed != nil {
		g.failed(fmt.Sprintf("%v, in %.2000s", p, debug.Stack()))
	}
	if began {
		panic(http.ErrAbortHandler) // so that the answer does not look whole; the server says nothing of it
	}
	http.Error(a.ResponseWriter, "the profiler's handler failed; its notes have how", http.StatusInternalServerError)
}

// refusal says why a request is not served, with the status; 0 where it is.
func (g *Guard) refusal(r *http.Request) (text string, code int) {
	if g.asks {
		given, bearer := bearerOf(r)
		if !bearer {
			_, given, _ = r.BasicAuth() // of browsers, which ask their user
		}
		// Of the hashes, so that the time tells nothing, not even the length.
		got := sha256.Sum256([]byte(given))
		if subtle.ConstantTimeCompare(got[:], g.token[:]) != 1 {
			return "the header Authorization: Bearer is missing, or has another token than FIRSTTOUCH_TOKEN; in a browser, it is the password of any user", http.StatusUnauthorized
		}
	}
	if len(r.URL.RawQuery) > queryMost {
		return "the query is too long", http.StatusRequestURITooLong
	}
	if len(r.URL.RawQuery) > 0 {
		if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
			return "the query cannot be read", http.StatusBadRequest
		}
	}
	if foreign(r) {
		return "this request was made by a page of another site: open the address itself, or use the command firsttouch", http.StatusForbidden
	}
	return "", 0
}

// foreign reports whether a page of another site had a browser make the request. Such a page cannot read the answer, but
// arming regions costs the service, and so does a large answer. A link from elsewhere to a page here is no such request,
// as long as it arms nothing.
func foreign(r *http.Request) bool {
	// What arms regions again, see Agent.Handler, and what changes anything.
	arms := r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.Query().Has("seconds")
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "same-origin", "none":
		return false
	case "":
	default: // cross-site, and same-site, which may be another port of this machine
		return arms || r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
	}
	// Browsers do not say it where the address is neither loopback nor HTTPS. What else they say has to be of this host then.
	if origin := r.Header.Get("Origin"); origin != "" {
		return !sameHost(origin, r)
	}
	if referer := r.Header.Get("Referer"); referer != "" {
		return arms && !sameHost(referer, r)
	}
	// A page can leave the Referer out. Then nothing tells its requests from those of who types an address.
	_, bearer := bearerOf(r) // which no page has unless it was told
	return arms && strings.HasPrefix(r.Header.Get("User-Agent"), "Mozilla/") && !bearer
}

func bearerOf(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return token, strings.EqualFold(scheme, "Bearer")
}

func sameHost(address string, r *http.Request) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// LocalOnly refuses requests for another host than this one: a web page can give its own name an address of
// loopback, and have a browser here read what it must not see (DNS rebinding).
func LocalOnly(next http.Handler) http.Handler {
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

// Address completes the address that somebody wants to listen on: without a host it is loopback.
func Address(address string) string {
	if host, port, err := net.SplitHostPort(address); err == nil && host == "" {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}
