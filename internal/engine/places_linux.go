//go:build linux && (amd64 || arm64)

package engine

import "github.com/firsttouch/firsttouch/internal/raw"

// Places returns where the pages of the target are, each as the first address of a range as long as the
// target: of a file in the engine's own mapping of it, of memory in its place and in the layers. A page is
// in one of them. ok is false where mincore would not tell the truth of them. They may be gone when they are
// looked at.
func (g *Target) Places() (at []uintptr, ok bool) {
	if alias := g.t.alias; alias != 0 {
		return []uintptr{alias}, g.t.flags&tgMincore != 0
	}
	if g.Protected() {
		return []uintptr{g.Lo}, g.t.flags&(tgMincore|tgAnonymous) != 0
	}
	at = append(at, g.Lo)
	for _, layer := range []*uint64{&g.t.young, &g.t.old} {
		if p := uintptr(raw.Load64(layer)); p != 0 {
			at = append(at, p)
		}
	}
	return at, true
}
