package agent

import (
	"net"
	"strings"
	"testing"
)

func TestDebugEndpointListens(t *testing.T) {
	t.Run("not", func(t *testing.T) {
		if a := start(t); a.DebugAddr() != nil {
			t.Fatalf("listens on %v without being told to", a.DebugAddr())
		}
	})
	t.Run("loopback", func(t *testing.T) {
		a := start(t, WithDebugAddr(":0"))
		addr, ok := a.DebugAddr().(*net.TCPAddr)
		if !ok || !addr.IP.IsLoopback() || len(ownNotes(a)) > 0 {
			t.Fatalf("listens on %v, notes %q", a.DebugAddr(), ownNotes(a))
		}
		if code, body := get(t, "http://"+addr.String()+"/debug/firsttouch/snapshot"); code != 200 || !strings.Contains(body, `"active":true`) {
			t.Errorf("%d %s", code, body)
		}
		// A second one cannot have the port, and takes nothing down with it.
		b, err := Start(t.Context(), WithDebugAddr(addr.String()))
		if err == nil || !strings.Contains(err.Error(), "FIRSTTOUCH_DEBUG_ADDR") || b.Reason() == "" {
			t.Errorf("error %v, reason %q", err, b.Reason())
		}
	})
	t.Run("every interface", func(t *testing.T) {
		a := start(t, WithDebugAddr("0.0.0.0:0"))
		if notes := ownNotes(a); len(notes) != 1 || !strings.Contains(notes[0], "without authentication") {
			t.Errorf("notes %q", notes)
		}
	})
}
