package endpoint

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// impatience makes the tests short.
const impatience = patience / 5

const large = 16 << 20 // more than the buffers of two sockets

// served is a server with a handler that answers as much as is asked for.
func served(t *testing.T, token string) *Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, r *http.Request) {
		if !Begin(w) {
			return
		}
		piece := make([]byte, 1<<20)
		for n := 0; n < large; n += len(piece) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("GET /small", func(w http.ResponseWriter, r *http.Request) {
		if Begin(w) {
			_, _ = io.WriteString(w, "small")
		}
	})
	mux.HandleFunc("GET /panic", func(w http.ResponseWriter, r *http.Request) { panic("a fault of ours") })
	mux.HandleFunc("GET /late", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("a fault of ours")
	})
	guard := NewGuard(token, func(text string) { t.Log("told:", strings.SplitN(text, "\n", 2)[0]) })
	guard.gate.patience = impatience
	s, err := Serve(t.Context(), "127.0.0.1:0", guard, guard.Handler(mux), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx)
	})
	return s
}

// open sends a request and reads nothing.
func open(t *testing.T, s *Server, request string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c
}

func get(t *testing.T, s *Server, path string) (int, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testproc.Budget(20*time.Second))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

const request = "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"

// Clients that do not read keep nobody from being served: they are cut off where others wait, and never look as if they had got all.
func TestClientsThatDoNotRead(t *testing.T) {
	s := served(t, "")
	var stalled []net.Conn
	for range 8 {
		stalled = append(stalled, open(t, s, fmt.Sprintf(request, "large")))
	}
	if code, body, err := get(t, s, "/small"); code != 200 || body != "small" || err != nil {
		t.Errorf("%d %q, %v", code, body, err)
	}
	if code, body, err := get(t, s, "/large"); code != 200 || len(body) != large || err != nil {
		t.Errorf("%d, %d bytes, %v", code, len(body), err)
	}
	cut := 0
	for _, c := range stalled {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			cut++
			continue
		}
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != large {
			cut++
		}
	}
	if cut < answersMost {
		t.Errorf("%d of %d who read nothing were cut off", cut, len(stalled))
	}
}

// Nobody else waits, so who reads slowly gets all of it.
func TestClientThatReadsLate(t *testing.T) {
	s := served(t, "")
	c := open(t, s, fmt.Sprintf(request, "large"))
	time.Sleep(2 * impatience)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != large {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// Connections whose request never comes, or not to its end, close the endpoint for nobody.
func TestConnectionsThatAskNothing(t *testing.T) {
	s := served(t, "")
	for i := range 3 * connectionsMost {
		open(t, s, []string{"", "GET / HTT", "GET /small HTTP/1.1\r\nHost: localhost\r\nX: "}[i%3])
	}
	if code, body, err := get(t, s, "/small"); code != 200 || body != "small" || err != nil {
		t.Errorf("%d %q, %v", code, body, err)
	}
	s.mu.Lock()
	n := len(s.conns)
	s.mu.Unlock()
	if n > connectionsMost {
		t.Errorf("%d connections", n)
	}
}

// Shutdown waits for answers that are read, and for others no longer than it is told to, or a second or two.
func TestShutdown(t *testing.T) {
	for name, tt := range map[string]struct {
		ctx  func() (context.Context, context.CancelFunc)
		most time.Duration
		fail bool
	}{
		"without a bound": {func() (context.Context, context.CancelFunc) { return context.WithCancel(context.Background()) }, endingMost / 2, false},
		"with a bound": {func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), time.Millisecond)
		}, patience, true},
		"without any grace": {func() (context.Context, context.CancelFunc) {
			c, f := context.WithCancel(context.Background())
			f()
			return c, f
		}, patience, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := served(t, "")
			open(t, s, "GET / HTT")
			open(t, s, "")
			for range 4 {
				open(t, s, fmt.Sprintf(request, "large"))
			}
			for {
				s.guard.gate.mu.Lock()
				n := len(s.guard.gate.active)
				s.guard.gate.mu.Unlock()
				if n == answersMost {
					break
				}
				time.Sleep(time.Millisecond)
			}
			ctx, cancel := tt.ctx()
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- s.Shutdown(ctx) }()
			select {
			case err := <-done:
				if (err != nil) != tt.fail {
					t.Errorf("%v", err)
				}
			case <-time.After(testproc.Budget(tt.most)):
				t.Fatalf("it goes on after %v", tt.most)
			}
			if _, _, err := get(t, s, "/small"); err == nil {
				t.Error("it still answers")
			}
			if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("again: %v", err)
			}
		})
	}
}

// What goes wrong with clients, or in a handler, is in the notes and not in the service's log; an answer that broke off does not look whole.
func TestNothingIsLogged(t *testing.T) {
	s := served(t, "")
	c := open(t, s, "NO HTTP\x1b[2J\r\n\r\n")
	_, _ = io.Copy(io.Discard, c)
	if code, body, err := get(t, s, "/panic"); code != 500 || strings.Contains(body, "a fault of ours") || err != nil {
		t.Errorf("%d %q, %v", code, body, err)
	}
	if _, body, err := get(t, s, "/late"); err == nil {
		t.Errorf("half an answer looks whole: %q", body)
	}
	_, _ = s.Write([]byte("http: a line\nand more\n"))
	notes := s.Notes()
	if len(notes) != 1 || !strings.Contains(notes[0], "http: a line") || strings.Contains(notes[0], "and more") {
		t.Errorf("%q", notes)
	}
}

// More requests at a time than there is room for are told so.
func TestRequestsAtATime(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	slow := NewGuard("", nil).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		started <- struct{}{}
		<-release
	}))
	ask := func() int {
		w := httptest.NewRecorder()
		slow.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return w.Code
	}
	done := make(chan int)
	for range requestsMost {
		go func() { done <- ask() }()
		<-started
	}
	if code := ask(); code != http.StatusTooManyRequests {
		t.Errorf("request %d at a time: %d", requestsMost+1, code)
	}
	close(release)
	for range requestsMost {
		if code := <-done; code != 200 {
			t.Errorf("a request within the limit: %d", code)
		}
	}
}

// What a page of another site has a browser ask for arms nothing, and takes nothing large.
func TestRequestsOfOtherSites(t *testing.T) {
	h := NewGuard("", nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	const browser = "User-Agent=Mozilla/5.0"
	for _, tt := range []struct {
		method, target, headers string
		want                    int
	}{
		{"GET", "/", "", 200},
		{"GET", "/?seconds=1", "", 200}, // curl, go tool pprof
		{"GET", "/?seconds=1", "User-Agent=curl/8", 200},
		{"GET", "/?seconds=1", browser + " Sec-Fetch-Site=same-origin", 200},
		{"GET", "/?seconds=1", browser + " Sec-Fetch-Site=none", 200},
		{"GET", "/?seconds=1", browser + " Sec-Fetch-Site=cross-site", 403},
		{"GET", "/?seconds=1", browser + " Sec-Fetch-Site=same-site", 403},
		{"GET", "/?seconds=1", browser + " Sec-Fetch-Site=cross-site Sec-Fetch-Mode=navigate Sec-Fetch-Dest=document", 403},
		{"GET", "/", browser + " Sec-Fetch-Site=cross-site Sec-Fetch-Mode=navigate Sec-Fetch-Dest=document", 200}, // a link
		{"GET", "/", browser + " Sec-Fetch-Site=cross-site Sec-Fetch-Mode=navigate Sec-Fetch-Dest=iframe", 403},
		{"GET", "/", browser + " Sec-Fetch-Site=cross-site Sec-Fetch-Mode=no-cors Sec-Fetch-Dest=image", 403},
		{"GET", "/", browser + " Sec-Fetch-Site=same-site Sec-Fetch-Mode=cors", 403},
		// Browsers that do not say it, or not on such an address.
		{"GET", "/?seconds=1", browser, 403},
		{"GET", "/?seconds=1", browser + " Referer=http://here:1/debug/", 200},
		{"GET", "/?seconds=1", browser + " Referer=http://evil.example/", 403},
		{"GET", "/?seconds=1", browser + " Authorization=Bearer", 200},
		{"GET", "/?seconds=1", browser + " Authorization=Basic", 403},
		{"GET", "/", browser + " Referer=http://evil.example/", 200},
		{"GET", "/", browser + " Origin=http://evil.example", 403},
		{"GET", "/", browser + " Origin=null", 403},
		{"GET", "/", browser + " Origin=http://here:1", 200},
		{"GET", "/?%73econds=1", browser + " Sec-Fetch-Site=cross-site Sec-Fetch-Mode=navigate Sec-Fetch-Dest=document", 403},
		{"POST", "/", browser + " Origin=http://evil.example", 403},
		{"POST", "/", browser, 403},
		{"POST", "/", "", 200},
		{"GET", "/?" + strings.Repeat("x", queryMost+1), "", 414},
		{"GET", "/?seconds=1;a=%zz", "", 400},
	} {
		r := httptest.NewRequest(tt.method, tt.target, nil)
		r.Host = "here:1"
		for _, kv := range strings.Fields(tt.headers) {
			name, value, _ := strings.Cut(kv, "=")
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s %.40s with %s: %d, want %d", tt.method, tt.target, tt.headers, w.Code, tt.want)
		}
	}
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{":80": "127.0.0.1:80", "0.0.0.0:80": "0.0.0.0:80", "[::]:80": "[::]:80", "x": "x", "localhost:1": "localhost:1"} {
		if got := Address(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
