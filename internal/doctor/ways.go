package doctor

import (
	"fmt"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/report"
)

// Way is what one way to observe has seen in a trial.
type Way struct {
	Delivery string `json:"delivery"` // as FIRSTTOUCH_DELIVERY has it
	// Reason says why it cannot be had here, and what would change that; empty where it can.
	Reason string `json:"reason,omitempty"`
	// Failing: a system call of the service can fail, so it is taken only where that is allowed.
	Failing bool          `json:"failing"`
	Touch   time.Duration `json:"touch_ns"` // what the first touch of a page of an arena took, the kernel's own work included
	Seen    []Seen        `json:"seen"`
}

// Seen is how many of the first touches of one kind of memory were seen.
type Seen struct {
	Kind string `json:"kind"`
	Seen uint64 `json:"seen"`
	Made uint64 `json:"made"`
	// Not says why none could be; empty where it was tried.
	Not string `json:"not,omitempty"`
}

// callFails begins Not where the touch itself, a system call, has failed.
const callFails = "the call fails"

// String is a cell of the table.
func (s Seen) String() string {
	switch {
	case strings.HasPrefix(s.Not, callFails):
		return "EFAULT"
	case s.Not != "":
		return "no"
	case s.Made == 0:
		return "yes"
	case s.Seen == s.Made:
		return "all"
	case s.Seen == 0:
		return "none"
	}
	return fmt.Sprintf("%d of %d", s.Seen, s.Made)
}

// waysTable shows what each way sees of each kind of memory, a row a kind.
func waysTable(ways []Way) *report.Table {
	columns := []any{report.Left("first touches of")}
	for _, w := range ways {
		columns = append(columns, report.Left(w.Delivery))
	}
	t := report.NewTable("What each way sees, of 16 pages touched one by one", columns...)
	cost := []string{"time of a first touch"}
	for i := range ways[0].Seen {
		row := []string{ways[0].Seen[i].Kind}
		for _, w := range ways {
			row = append(row, w.cell(i))
		}
		t.Row(row...)
	}
	for _, w := range ways {
		cell := "-"
		if w.Reason == "" {
			cell = summary.Duration(w.Touch)
		}
		cost = append(cost, cell)
	}
	t.Row(cost...)
	return t
}

func (w Way) cell(i int) string {
	if w.Reason != "" || i >= len(w.Seen) {
		return "-"
	}
	return w.Seen[i].String()
}

// waysText says of each way whether it can be had, and which one is taken by itself.
func waysText(ways []Way) string {
	text, taken := "Ways to observe (FIRSTTOUCH_DELIVERY)\n", ""
	for _, w := range ways {
		line := "  " + mark[Yes] + w.Delivery
		switch {
		case w.Reason != "":
			line = "  " + mark[No] + w.Delivery + ": " + w.Reason
		case w.Failing && w.Delivery == "signal":
			line = "  " + mark[Limited] + w.Delivery + ": a first touch takes " + summary.Duration(w.Touch) + "; FIRSTTOUCH_DELIVERY=signal allows that " + failing
		case w.Failing:
			line = "  " + mark[Limited] + w.Delivery + ": only with " + allowing
		default:
			line += ": a first touch takes " + summary.Duration(w.Touch)
			if taken == "" {
				taken = w.Delivery
				line += "; auto, the default, takes this one"
			}
		}
		text += line + "\n"
	}
	if taken == "" {
		text += "  auto, the default, takes none of them: each would let system calls of the service fail, or cannot be had\n"
	}
	return text
}

// observes reports whether page faults can be observed without arming anything.
func observes(ways []Way) bool {
	for _, w := range ways {
		if w.Delivery == "observe" && w.Reason == "" {
			return true
		}
	}
	return false
}
