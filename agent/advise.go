package agent

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/profiler"
)

// advisedMost bounds the body of a request for advice.
const advisedMost = 16 << 10

// serveAdvise gives advice about a region, see profiler.Region.Advise. It needs WithAdvice, and confirm=true.
func (a *Agent) serveAdvise(w http.ResponseWriter, r *http.Request) {
	if !a.cfg.advice {
		http.Error(w, "this agent takes no advice: start it with WithAdvice or FIRSTTOUCH_ADVICE=true", http.StatusForbidden)
		return
	}
	if !a.observes() {
		http.Error(w, "not profiled: "+a.Reason(), http.StatusServiceUnavailable)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, advisedMost)
	text, err := a.advise(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	header(w, "text/plain; charset=utf-8")
	// An error here is the client's: it has left.
	_, _ = fmt.Fprintln(w, text)
}

func (a *Agent) advise(r *http.Request) (text string, err error) {
	if err := r.ParseForm(); err != nil {
		return "", fmt.Errorf("the request cannot be read: %w", err)
	}
	if r.FormValue("confirm") != "true" {
		return "", errors.New("advice changes how the kernel treats the memory of this process: ask with confirm=true")
	}
	from, err := byteOffset(r, "from", 0)
	if err != nil {
		return "", err
	}
	region, err := a.regionNamed(r.FormValue("region"))
	if err != nil {
		return "", err
	}
	to, err := byteOffset(r, "to", a.prof.RegionSize(region.ID()))
	if err != nil {
		return "", err
	}
	advice := r.FormValue("advice")
	n, err := region.Advise(advice, from, to)
	if n > 0 {
		text = fmt.Sprintf("madvise(%s) was given for %s of %s, asked for over HTTP", advice, summary.Bytes(n), region.Name())
		a.note("%s", text)
	}
	return text, err
}

// regionNamed finds an observed region by its name, or by the end of its path where that is of one alone.
func (a *Agent) regionNamed(name string) (*profiler.Region, error) {
	var names []string
	var found []*profiler.Region
	for _, o := range a.owned() {
		if o.Name() == name {
			found = []*profiler.Region{o}
			break
		}
		if name != "" && strings.HasSuffix(o.Name(), "/"+name) {
			found = append(found, o)
		}
		names = append(names, o.Name())
	}
	if len(found) != 1 {
		slices.Sort(names)
		return nil, fmt.Errorf("region=%q: choose one of: %s", oneLine(name), strings.Join(names, ", "))
	}
	return found[0], nil
}

// byteOffset reads an offset in bytes, such as 4096 or 2MiB.
func byteOffset(r *http.Request, name string, missing int64) (int64, error) {
	v := r.FormValue(name)
	if v == "" {
		return missing, nil
	}
	n, err := parseBytes(v)
	if err != nil {
		return 0, fmt.Errorf("%s=%s: give an offset in the region in bytes, such as 4096 or 2MiB", name, strconv.Quote(oneLine(v)))
	}
	return int64(n), nil
}
