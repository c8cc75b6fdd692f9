package agent

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ask sends one request, changed by with, and returns the answer's code and text.
func ask(t *testing.T, h http.Handler, target string, with func(*http.Request)) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	if with != nil {
		with(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

var endpoints = []string{"", "live", "profile", "address", "snapshot", "windows", "recording", "mappings", "engine"}

// Every endpoint wants the token, and nothing of an answer is there without it.
func TestToken(t *testing.T) {
	const secret = "0123456789abcdef"
	h := start(t, WithToken(secret)).Handler()
	for _, name := range endpoints {
		for header, want := range map[string]int{
			"": 401, "Bearer": 401, "Bearer ": 401, "Bearer 0123456789abcdeg": 401, "Bearer " + secret + "0": 401,
			"Basic " + secret: 401, secret: 401, "Bearer " + secret: 200, "bearer " + secret: 200,
		} {
			code, body := ask(t, h, basePath+name, func(r *http.Request) { r.Header.Set("Authorization", header) })
			if (code == 401) != (want == 401) || code == 401 && strings.Contains(body, secret) {
				t.Errorf("%s with %q: %d, want %d", name, header, code, want)
			}
		}
		if code, _ := ask(t, h, basePath+name+"?token="+secret, nil); code != 401 {
			t.Errorf("%s took a token from its address, which logs keep: %d", name, code)
		}
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	for _, token := range []string{"", "short", "with a space in it", "with a\nline in it ......"} {
		if _, err := Start(t.Context(), WithToken(token)); err == nil || strings.Contains(err.Error(), token) && token != "" {
			t.Errorf("%q: %v", token, err)
		}
	}
}

// The endpoint on loopback answers for localhost and addresses, and not for a name that a web page gave it.
func TestHostsOfTheDebugEndpoint(t *testing.T) {
	a := start(t, WithDebugAddr(":0"))
	url := "http://" + a.DebugAddr().String() + basePath + "snapshot"
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:6070": 200, "127.0.0.1:80": 200, "[::1]:80": 200, "127.0.0.1": 200,
		"evil.example": 403, "evil.example:6070": 403, "localhost.evil.example": 403, "127.0.0.1.nip.example": 403,
	} {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("host %q: %d, want %d", host, resp.StatusCode, want)
		}
	}
}

// Addresses are shown to nobody unless the agent was told that they may be.
func TestAddressesAreNotShown(t *testing.T) {
	path, file := database(t, 4)
	a := start(t, WithFiles(path))
	touchPage(file, 1)
	h := a.Handler()
	for _, name := range []string{"snapshot", "mappings"} {
		if code, body := ask(t, h, basePath+name+"?addresses=true", nil); code != 403 || !strings.Contains(body, "WithAddresses") {
			t.Errorf("%s: %d %s", name, code, body)
		}
		if code, body := ask(t, h, basePath+name, nil); code != 200 || strings.Contains(body, `"address"`) {
			t.Errorf("%s shows addresses: %d", name, code)
		}
	}
}

// Nothing but GET and HEAD is served, and no more requests at a time than there is memory for.
func TestLimitsOnRequests(t *testing.T) {
	a := start(t, WithDebugAddr(":0"))
	h := a.Handler()
	for _, name := range endpoints {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
			if code, _ := ask(t, h, basePath+name, func(r *http.Request) { r.Method = method }); code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, name, code)
			}
		}
	}
	url := "http://" + a.DebugAddr().String() + basePath
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Long", strings.Repeat("x", 64<<10))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("64 KiB of headers: %d", resp.StatusCode)
	}
}

// Recordings name files and functions: they are their owner's alone.
func TestPermissionsOfRecordings(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "recordings")
	a := start(t, WithRecordings(dir), WithRecordAtShutdown())
	if err := a.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recording: %v", err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Dir(dir): 0o700, files[0]: 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode().Perm(), err, want)
		}
	}
}
