package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/endpoint"
	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/profiler"
)

// Mappings is the JSON of the handler's list of mappings: what could be observed.
type Mappings struct {
	// Active is false where the agent does nothing, or not any more; Reason then says why.
	Active   bool             `json:"active"`
	Reason   string           `json:"reason,omitempty"`
	Mappings []ProcessMapping `json:"mappings"` // by address
}

// ProcessMapping is one mapping of the process, see profiler.Mapping.
type ProcessMapping struct {
	Kind          string `json:"kind"`
	Path          string `json:"path,omitempty"`
	Permissions   string `json:"permissions"`
	OffsetBytes   int64  `json:"offset_bytes"` // in the file
	LengthBytes   int64  `json:"length_bytes"`
	PageBytes     int    `json:"page_bytes"`
	ResidentBytes int64  `json:"resident_bytes"`
	SwappedBytes  int64  `json:"swapped_bytes"`
	Region        string `json:"region,omitempty"` // that observes it
	Attach        string `json:"attach,omitempty"` // what observes every first touch: AttachRange or AttachFile
	AttachReason  string `json:"attach_reason,omitempty"`
	WritesOnly    bool   `json:"writes_only"` // WithWritesOnly can be given
	WritesReason  string `json:"writes_reason,omitempty"`
	Address       string `json:"address,omitempty"`
}

// serveMappings lists the mappings of the process.
func (a *Agent) serveMappings(w http.ResponseWriter, r *http.Request) {
	addresses, err := flagOf(r, "addresses")
	text, textErr := flagOf(r, "text")
	if err != nil || textErr != nil {
		http.Error(w, fmt.Sprint(errorOf(err, textErr)), http.StatusBadRequest)
		return
	}
	if addresses && !a.cfg.addresses {
		refuseAddresses(w)
		return
	}
	if !endpoint.Begin(w) {
		return
	}
	d := Mappings{Reason: a.Reason(), Mappings: []ProcessMapping{}}
	if a.observes() {
		list, err := a.prof.Mappings()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		d.Active = true
		for _, m := range list {
			d.Mappings = append(d.Mappings, processMapping(m, addresses))
		}
	}
	// An error from here on is the client's: it has left.
	if text {
		header(w, "text/plain; charset=utf-8")
		_ = plain.Lines(d).writeText(w) // for a terminal
		return
	}
	header(w, "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(d)
}

func errorOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func processMapping(m profiler.Mapping, addresses bool) ProcessMapping {
	p := ProcessMapping{
		Kind: string(m.Kind), Path: m.Path, Permissions: m.Permissions, OffsetBytes: m.Offset, LengthBytes: int64(m.End - m.Start),
		PageBytes: m.PageSize, ResidentBytes: m.Resident, SwappedBytes: m.Swapped, Region: m.Region,
		Attach: m.Attach, AttachReason: m.Reason, WritesOnly: m.WritesOnly, WritesReason: m.WritesReason,
	}
	if addresses {
		p.Address = summary.Address(m.Start)
	}
	return p
}

// writeText prints the list as a table for people.
func (d Mappings) writeText(w io.Writer) error {
	if !d.Active {
		_, err := fmt.Fprintf(w, "not active: %s\n", d.Reason)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "address\tKiB\tresident\tkind\twhat\tattach by\twrites only\twhy not")
	for _, m := range d.Mappings {
		writes := "no"
		if m.WritesOnly {
			writes = "yes"
		}
		attach := m.Attach
		if attach == "" {
			attach = "no"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s %s\t%s\t%s\t%s\n",
			m.Address, m.LengthBytes>>10, m.ResidentBytes>>10, m.Kind, m.Permissions, m.Path, attach, writes, m.AttachReason)
	}
	return t.Flush()
}
