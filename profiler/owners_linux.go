//go:build linux && (amd64 || arm64)

package profiler

// Some system calls of a mapping's owner cannot be made right while a placeholder lies there: mincore(2) tells of the placeholder,
// which holds nothing, and mremap(2) grows no range of several mappings. What is known to make them is named. By signal there is no
// placeholder, and only a file that is armed by its rights is several mappings.

// owner is code that makes such a call, by the name of a function of it.
type owner struct{ function, note string }

var owners = []owner{
	{
		"github.com/VictoriaMetrics/VictoriaMetrics/lib/fs.mincore",
		"VictoriaMetrics' lib/fs asks mincore(2) before it reads a mapping, and takes what is armed for absent: it reads that by pread(2), which is not observed; set -fs.disableMincore",
	},
	{
		"github.com/dgraph-io/ristretto/v2/z.mremap",
		ristrettoNote,
	},
	{
		"github.com/dgraph-io/ristretto/z.mremap",
		ristrettoNote,
	},
}

const ristrettoNote = "ristretto's z (Badger) grows its writable files by mremap(2), which fails with EFAULT while they are observed: attach Badger's *.sst alone, and neither *.mem nor *.vlog"

// noteOwners names the owners that this program has in it, once a file is observed that is in pieces. The caller holds p.mu.
func (p *Profiler) noteOwners(r *Region) {
	if p.text == nil || p.ownersNoted {
		return
	}
	for _, m := range r.maps {
		if m.means != byCover || m.Protected() && !m.Rightless() {
			continue
		}
		p.ownersNoted = true
		for _, o := range owners {
			if p.text.HasName(o.function) {
				p.note("%s", o.note)
			}
		}
		return
	}
}
