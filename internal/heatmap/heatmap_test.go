package heatmap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// diagonal touches a page of a region of 100 each millisecond, upwards, and one page of another.
func diagonal(size int64) *profiler.Snapshot {
	b := profiler.NewSnapshotBuilder()
	b.SetTime(time.Time{}, time.Time{}, time.Hour, time.Hour+time.Second)
	b.AddRegion(profiler.RegionStats{Name: "small", Granule: 4096, Size: 4096})
	b.AddFault(profiler.Fault{Time: time.Hour, Stall: time.Second, Messages: 1})
	r := b.AddRegion(profiler.RegionStats{Name: "/data/<&>.db", Granule: 4096, Size: size})
	for i := range int64(100) {
		b.AddFault(profiler.Fault{Region: r, Time: time.Hour + time.Duration(i)*time.Millisecond, Offset: size/100*i + size/200, Stall: time.Duration(i+1) * time.Microsecond, Messages: 1})
	}
	return b.Snapshot()
}

func TestGrid(t *testing.T) {
	for _, size := range []int64{1 << 20, 1 << 30, 1 << 40} {
		g, err := New(diagonal(size), Options{Value: Faults, Columns: 10, Rows: 10})
		if err != nil {
			t.Fatal(err)
		}
		for row := range g.Rows {
			for column, n := range g.Cells[row] {
				if want := int64(10); (row == column) != (n == want) || row != column && n != 0 {
					t.Errorf("size %d, row %d, column %d: %d", size, row, column, n)
				}
			}
		}
		if g.Total != 100 || g.Max != 10 || g.Faults != 100 || g.Missing != 0 || g.From != 0 || g.High != size {
			t.Errorf("%+v", g)
		}
	}
	g, err := New(diagonal(1<<20), Options{Region: "<&>.db", Value: Stall, Columns: 1, Rows: 1})
	if err != nil || g.Cells[0][0] != 5050_000 {
		t.Errorf("%+v, %v: want the sum of the stalls", g, err)
	}
	if _, err := New(diagonal(1), Options{Region: "absent"}); err == nil || !strings.Contains(err.Error(), "choose one of small, /data/<&>.db") {
		t.Error(err)
	}
	if _, err := New(profiler.NewSnapshotBuilder().Snapshot(), Options{Columns: 1, Rows: 1}); err == nil {
		t.Error("a picture of nothing")
	}
}

func TestText(t *testing.T) {
	s := *diagonal(1 << 20)
	s.Faults = s.Faults[:51] // the rest is known in number only
	g, err := New(&s, Options{Region: "<&>.db", Value: Faults, Columns: 20, Rows: 4})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := g.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	want := `First touches of <&>.db by place and time; a cell is 256 KiB by 2.45 ms, the fullest has 3 faults; no first touch in the 951 ms after it

  768 KiB |                    
          |                    
          |          *@*@*@*@*@
      0 B |@*@*@*@*@*          
   offset +--------------------
     time  0 ns         49.0 ms

50 more first touches of it are known in number only.
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
	b.Reset()
	if err := g.WriteText(&b, true); err != nil || strings.Count(b.String(), "\x1b[48;2;") != 20 {
		t.Errorf("%v, %q", err, &b)
	}
}

// The picture is well-formed, says what it shows, and draws as many cells as there are.
func TestSVG(t *testing.T) {
	g, err := New(diagonal(1<<40), Options{Value: Faults, Columns: 100, Rows: 50})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := g.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	shapes := 0
	for d := xml.NewDecoder(&b); ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "rect" {
			shapes++
		}
	}
	// Two columns a row are one shape, beside the background, the frame and the key.
	if want := 50 + 2 + len(palette); shapes != want {
		t.Errorf("%d shapes, want %d", shapes, want)
	}
	for _, want := range []string{"First touches of &lt;&amp;&gt;.db by place and time", "Offsets from 0 to 1.00 TiB", "100 faults in /data/", "up to 1 fault (log"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}
