package doctor

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/firsttouch/firsttouch/uffd"
)

// Render writes what somebody wants to know first: whether it works here, what to change, and which memory can be observed.
// command is how the user runs this program.
func Render(w io.Writer, r Report, command string) error {
	r = plain.Lines(r)
	_, err := fmt.Fprintf(w, "%s.\n\n", r.Verdict)
	if !r.Works {
		return errors.Join(err, waysOf(w, r), remedies(w, r), observable(w, r), more(w, r, command))
	}
	return errors.Join(err, waysOf(w, r), observable(w, r), remedies(w, r), more(w, r, command))
}

// waysOf writes which ways there are, and what each has seen.
func waysOf(w io.Writer, r Report) error {
	if len(r.Trial.Ways) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(w, waysText(r.Trial.Ways))
	return errors.Join(err, waysTable(r.Trial.Ways).Write(w))
}

// observable lists the kinds of memory, without those of which nothing is known because the profiler does not run.
func observable(w io.Writer, r Report) error {
	text := ""
	for _, row := range r.Memory {
		switch row.Status {
		case Yes:
			text += "  " + mark[Yes] + row.Name + "\n"
		case Unknown:
		default:
			text += "  " + mark[row.Status] + row.Name + ": " + or(row.Detail, string(row.Status)) + "\n"
		}
	}
	if text == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "What can be observed\n%s\n", text)
	return err
}

// mark begins a row, all of the same width.
var mark = map[Status]string{Yes: "yes      ", Limited: "limited  ", No: "no       "}

func more(w io.Writer, r Report, command string) error {
	_, err := fmt.Fprintf(w, "Kernel %s, %s. All answers, feature by feature: %s doctor -verbose\n", or(r.Kernel.Kernel, "unknown"), trialText(r.Trial), command)
	return err
}

// RenderAll writes the whole report as aligned text.
func RenderAll(w io.Writer, r Report) error {
	r = plain.Lines(r)
	k := r.Kernel
	_, err := fmt.Fprintf(w, "%s.\n\n%s/%s, kernel %s, pages of %s, uid %d, firsttouch trial: %s\n\n",
		r.Verdict, k.OS, k.Arch, or(k.Kernel, "unknown"), summary.Bytes(int64(k.PageSizeBytes)), k.Privileges.UID, trialText(r.Trial))
	return errors.Join(err,
		waysOf(w, r),
		remedies(w, r),
		rows("Ways to a userfaultfd (one is enough)", r.Opening).Write(w),
		rows("Delivery of faults", r.Delivery).Write(w),
		rows("Memory that can be profiled", r.Memory).Write(w),
		rows("Limits and privileges", r.System).Write(w),
		features(k).Write(w),
		ioctls(k).Write(w),
		modes(k).Write(w))
}

func trialText(t Trial) string {
	failed, missing := 0, 0
	for _, s := range t.Steps {
		switch {
		case s.Error != "":
			failed++
		case s.Unsupported != "":
			missing++
		}
	}
	switch {
	case t.Reason != "":
		return "not completed"
	case failed > 0:
		return fmt.Sprintf("%d of %d steps failed", failed, len(t.Steps))
	}
	if missing > 0 {
		return fmt.Sprintf("%d of %d steps passed, the others are not supported here", len(t.Steps)-missing, len(t.Steps))
	}
	return fmt.Sprintf("all %d steps passed", len(t.Steps))
}

func rows(title string, list []Row) *report.Table {
	t := report.NewTable(title, report.Left("what"), report.Left("answer"), report.Left("detail"))
	for _, r := range list {
		t.Row(r.Name, string(r.Status), r.Detail)
	}
	return t
}

func features(k uffd.Report) *report.Table {
	t := report.NewTable("Features of the kernel", report.Left("UFFD_FEATURE_"), report.Left("Linux"), report.Left("here"))
	for _, f := range k.Features {
		t.Row(or(f.Name, fmt.Sprintf("bit %d", f.Bit)), f.Since, string(f.Available))
	}
	return t
}

// ioctls shows what came of a use of each.
func ioctls(k uffd.Report) *report.Table {
	t := report.NewTable("ioctls, by a use of each", report.Left("UFFDIO_"), report.Left("here"), report.Left("detail"))
	for _, i := range k.Ioctls {
		t.Row(i.Name, string(i.Available), i.Reason)
	}
	return t
}

// modes shows what UFFDIO_REGISTER takes, one kind of memory a row.
func modes(k uffd.Report) *report.Table {
	t := report.NewTable("Modes of UFFDIO_REGISTER by kind of memory", report.Left("memory"), report.Left("accepted"))
	for _, m := range k.Memory {
		var accepted []string
		for _, mode := range m.Modes {
			name := mode.Modes
			if mode.Async {
				name += " (async)"
			}
			if mode.Available == uffd.Yes {
				accepted = append(accepted, name)
			}
		}
		t.Row(string(m.Kind), or(or(strings.Join(accepted, ", "), m.Reason), "none"))
	}
	return t
}

// remedies lists what to do, each advice once with all that it is for.
func remedies(w io.Writer, r Report) error {
	var order []string
	names := make(map[string][]string)
	for _, row := range slices.Concat(r.Opening, r.Delivery, r.Memory, r.System) {
		if row.Remedy == "" || row.Status == Yes {
			continue
		}
		if names[row.Remedy] == nil {
			order = append(order, row.Remedy)
		}
		names[row.Remedy] = append(names[row.Remedy], row.Name)
	}
	if len(order) == 0 {
		return nil
	}
	text := "What to change\n"
	if r.Works {
		text = "What would make it better\n"
	}
	for _, remedy := range order {
		text += fmt.Sprintf("  %s: %s\n", strings.Join(names[remedy], "; "), remedy)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
