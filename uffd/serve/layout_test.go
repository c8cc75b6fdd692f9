package serve

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/firsttouch/firsttouch/uffd"
)

const page = 4096

func pages(from, to int) uffd.Range {
	return uffd.Range{Start: uffd.Addr(from * page), End: uffd.Addr(to * page)}
}

func TestLayoutRefusesNonsense(t *testing.T) {
	for name, areas := range map[string][]Area{
		"empty":             {{Range: pages(1, 1), PageSize: page}},
		"not aligned":       {{Range: uffd.Range{Start: 1, End: page}, PageSize: page}},
		"overlap":           {{Range: pages(1, 4), PageSize: page}, {Range: pages(3, 5), PageSize: page}},
		"too much contents": {{Range: pages(1, 2), Contents: make([]byte, page+1), PageSize: page}},
		"half a huge page":  {{Range: pages(0, 3), PageSize: 2 * page}},
	} {
		if _, err := NewLayout(areas...); !errors.Is(err, uffd.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLayoutAgainstModel does the same to a layout and to a plain list of pages.
func TestLayoutAgainstModel(t *testing.T) {
	const absent, zeros = -1, 0
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var model [64]int // what each page holds
		contents := make([]byte, 20*page+100)
		for i := range contents {
			contents[i] = byte(1 + i/page)
		}
		for i := range model {
			model[i] = absent
			if i >= 8 && i < 40 {
				if model[i] = i - 8 + 1; i-8 > 20 { // the 21st has but a beginning
					model[i] = zeros
				}
			}
		}
		l, err := NewLayout(Area{Range: pages(8, 40), Contents: contents, PageSize: page})
		if err != nil {
			t.Fatal(err)
		}
		for step := range 30 {
			from := rnd.IntN(60)
			to := from + 1 + rnd.IntN(64-from-1)
			switch rnd.IntN(3) {
			case 0:
				l.Remove(pages(from, to))
				for i := from; i < to; i++ {
					if model[i] != absent {
						model[i] = zeros
					}
				}
			case 1:
				to = min(to, from+3)
				l.Unmap(pages(from, to))
				for i := from; i < to; i++ {
					model[i] = absent
				}
			case 2:
				to = min(to, from+16)
				target := rnd.IntN(64 - (to - from) + 1)
				if target < to && from < target+to-from { // mremap refuses places that overlap
					continue
				}
				l.Remap(pages(from, to), uffd.Addr(target*page))
				for i := from; i < to; i++ {
					model[target+i-from], model[i] = model[i], absent
				}
			}
			for i, want := range model {
				got := absent
				if a, ok := l.Page(uffd.Addr(i*page + 17)); ok {
					if got = zeros; len(a.Contents) > 0 {
						got = int(a.Contents[0])
					}
					if a.Range != pages(i, i+1) {
						t.Fatalf("seed %d, step %d: page %d is %v", seed, step, i, a.Range)
					}
				}
				if got != want {
					t.Fatalf("seed %d, step %d: page %d holds %d, want %d\n%v", seed, step, i, got, want, l.areas)
				}
			}
		}
		for i, a := range l.areas {
			if a.Len() == 0 || i > 0 && l.areas[i-1].End > a.Start {
				t.Fatalf("seed %d: areas %v", seed, l.areas)
			}
		}
	}
}

// Discards page by page, in any order, do not make the layout long.
func TestLayoutJoinsZeros(t *testing.T) {
	const n = 1000
	l, err := NewLayout(Area{Range: pages(0, n), Contents: make([]byte, n*page), PageSize: page})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range rand.Perm(n) {
		l.Remove(pages(i, i+1))
	}
	if len(l.areas) != 1 {
		t.Errorf("%d areas", len(l.areas))
	}
}
