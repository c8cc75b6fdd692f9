package demo

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/firsttouch/firsttouch/agent"
)

// Whatever comes and goes, the cache returns what was put, or nothing; and the latest are there.
func TestAnswers(t *testing.T) {
	a, err := agent.Start(t.Context(), agent.Disabled())
	if err != nil {
		t.Fatal(err)
	}
	const size = 1000
	c, err := newAnswers(a, size)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	text := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 1+i*7%(size/8)) }
	kept := 0
	for range 20000 {
		i := rnd.IntN(60)
		got, ok := c.Get(fmt.Sprint(i))
		if ok && !bytes.Equal(got, text(i)) {
			t.Fatalf("%d: got %v", i, got)
		}
		if ok {
			kept++
			continue
		}
		c.Put(fmt.Sprint(i), text(i))
		if got, ok := c.Get(fmt.Sprint(i)); !ok || !bytes.Equal(got, text(i)) {
			t.Fatalf("%d was put just now: %v", i, got)
		}
		if len(c.at) != len(c.order) {
			t.Fatalf("%d answers, %d in order", len(c.at), len(c.order))
		}
	}
	if kept == 0 {
		t.Error("nothing was kept")
	}
	c.Put("long", make([]byte, size))
	if _, ok := c.Get("long"); ok {
		t.Error("an answer as long as the cache was kept")
	}
}
