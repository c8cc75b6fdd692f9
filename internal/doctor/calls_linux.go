//go:build linux && (amd64 || arm64)

package doctor

import "github.com/firsttouch/firsttouch/internal/calls"

func refusedCalls() (out []RefusedCall) {
	for _, r := range calls.Refused(nil) {
		out = append(out, RefusedCall{Name: r.Name, Error: r.Errno.Error(), Loses: r.Loses, Needed: r.Needed})
	}
	return out
}
