// Command maxmind looks addresses up in a database of MaxMind's format, which another one replaces while it runs.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/firsttouch/firsttouch/e2e/field/service"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/maxminddb-golang/v2"
)

func main() { service.Main(service.Service{Prepare: prepare, Open: open}) }

const file = "places.mmdb"

func prepare(dir string) error {
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Field", RecordSize: 28, IPVersion: 4, BuildEpoch: 1, IncludeReservedNetworks: true})
	if err != nil {
		return err
	}
	for i := range 60000 {
		address := net.IPv4(byte(1+i>>12), byte(i>>4), byte(i<<4), 0).To4()
		if err := w.Insert(&net.IPNet{IP: address, Mask: net.CIDRMask(28, 32)}, mmdbtype.Map{
			"place": mmdbtype.String(fmt.Sprintf("place %d, which nobody has heard of, in a country that is no longer there", i)),
			"id":    mmdbtype.Uint32(i),
		}); err != nil {
			return fmt.Errorf("%v: %w", address, err)
		}
	}
	f, err := os.Create(filepath.Join(dir, file))
	if err != nil {
		return err
	}
	if _, err := w.WriteTo(f); err != nil {
		return err
	}
	return f.Close()
}

type places struct {
	path string
	db   *maxminddb.Reader
}

func open(dir string) (service.Instance, error) {
	p := &places{path: filepath.Join(dir, file)}
	var err error
	p.db, err = maxminddb.Open(p.path)
	return p, err
}

func (p *places) Query(w io.Writer) error {
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		i := r.IntN(60000)
		address := netip.AddrFrom4([4]byte{byte(1 + i>>12), byte(i >> 4), byte(i << 4), byte(r.IntN(16))})
		var found struct {
			Place string `maxminddb:"place"`
			ID    uint32 `maxminddb:"id"`
		}
		if err := p.db.Lookup(address).Decode(&found); err != nil {
			return err
		}
		if err := json.NewEncoder(w).Encode(found); err != nil {
			return err
		}
	}
	return nil
}

// Change is how such a database is brought up to date: a new file takes the old one's name, and a new reader the old one's place.
func (p *places) Change() error {
	old, err := os.ReadFile(p.path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.path+".new", old, 0o644); err != nil {
		return err
	}
	if err := os.Rename(p.path+".new", p.path); err != nil {
		return err
	}
	db, err := maxminddb.Open(p.path)
	if err != nil {
		return err
	}
	before := p.db
	p.db = db
	return before.Close()
}

func (p *places) Close() error { return p.db.Close() }
