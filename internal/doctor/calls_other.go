//go:build !linux || (!amd64 && !arm64)

package doctor

func refusedCalls() []RefusedCall { return nil }
