package demo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of the result.
const (
	fileProfile = "profile.pb.gz"
	fileAddress = "address.pb.gz"
	fileTraces  = "traces.json"
	fileSummary = "summary.json"
	fileRecord  = "recording.ftr"
)

// prepareOut makes the directory, and removes what an earlier run left: files of two runs side by
// side would contradict each other. It finds out now, not after the work, whether it can be written.
func prepareOut(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return outputError(dir, err)
	}
	for _, name := range []string{fileProfile, fileAddress, fileTraces, fileSummary, fileRecord, fileOrder} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return outputError(dir, err)
		}
	}
	f, err := os.CreateTemp(dir, ".firsttouch-*")
	if err != nil {
		return outputError(dir, err)
	}
	// An empty file says nothing about space.
	_, err = f.Write(make([]byte, 64<<10))
	return outputError(dir, errors.Join(err, f.Close(), os.Remove(f.Name())))
}

// writeFile makes a file that is either whole or not there.
func writeFile(dir, name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(dir, ".firsttouch-*")
	if err != nil {
		return outputError(dir, err)
	}
	defer func() {
		if err != nil {
			err = outputError(dir, fmt.Errorf("%s: %w", name, err))
			_ = os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, name))
}

func outputError(dir string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("writing the results to %s: %w: choose another directory with -out", dir, err)
}
