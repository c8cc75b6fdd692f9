package recording

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// The head of a file, and the versions in it. A change that old readers would misunderstand counts
// the major version up; they refuse it. New tables and new columns count the minor one; they skip
// them.
const (
	magic      = "\x89FTR\r\n\x1a\n" // as PNG's: it shows when a transfer took the file for text
	headSize   = len(magic) + 4
	majorVers  = 1
	minorVers  = 1
	frameHead  = 1 + 4 + 4 + 4 // kind, size, size in the file, checksum
	contentCap = 8 << 20       // bytes of a frame's content
	totalCap   = 2 << 30       // of all contents together
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writer writes frames. After an error it writes nothing more.
type writer struct {
	w      io.Writer
	deflat *flate.Writer
	buf    bytes.Buffer
	frames uint64
	err    error
}

func newWriter(w io.Writer, level int) *writer {
	deflat, err := flate.NewWriter(io.Discard, level)
	out := &writer{w: w, deflat: deflat, err: err}
	head := binary.LittleEndian.AppendUint16([]byte(magic), majorVers)
	out.write(binary.LittleEndian.AppendUint16(head, minorVers))
	return out
}

func (w *writer) write(b []byte) {
	if w.err == nil {
		_, w.err = w.w.Write(b)
	}
}

// frame writes one frame, compressed by itself, so that it can be read without those before it.
func (w *writer) frame(kind byte, content []byte) {
	if w.err == nil && len(content) > contentCap {
		w.err = fmt.Errorf("a part of the recording has %d bytes, more than the %d that the format allows", len(content), contentCap)
	}
	if w.err != nil {
		return
	}
	w.buf.Reset()
	w.buf.Write(make([]byte, frameHead))
	w.deflat.Reset(&w.buf)
	_, err := w.deflat.Write(content)
	if w.err = errors.Join(err, w.deflat.Close()); w.err != nil {
		return
	}
	b := w.buf.Bytes()
	b[0] = kind
	binary.LittleEndian.PutUint32(b[1:], uint32(len(content)))
	binary.LittleEndian.PutUint32(b[5:], uint32(len(b)-frameHead))
	binary.LittleEndian.PutUint32(b[9:], checksum(b))
	w.write(b)
	w.frames++
}

// checksum covers a frame without its own place.
func checksum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:9], castagnoli), castagnoli, frame[frameHead:])
}

// reader reads frames.
type reader struct {
	r      io.Reader
	frames uint64
	at     int64 // bytes read in whole frames
	total  int64 // of contents
	budget budget

	stored, content []byte // of the last frame; used again for the next one
	inflate         io.ReadCloser
}

func newReader(r io.Reader) (*reader, error) {
	head := make([]byte, headSize)
	n, err := io.ReadFull(r, head)
	if n < len(magic) || string(head[:len(magic)]) != magic {
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		return nil, ErrNotRecording
	}
	if err != nil {
		return nil, ended(err, 0)
	}
	if v := binary.LittleEndian.Uint16(head[len(magic):]); v != majorVers {
		return nil, fmt.Errorf("%w: its format has version %d, this one reads version %d", ErrNewer, v, majorVers)
	}
	return &reader{r: r, at: int64(headSize)}, nil
}

// next returns the next frame. The content holds until the next call.
func (r *reader) next() (kind byte, content []byte, err error) {
	b := append(r.stored[:0], make([]byte, frameHead)...)
	if _, err := io.ReadFull(r.r, b); err != nil {
		return 0, nil, ended(err, r.at)
	}
	size, stored := int64(binary.LittleEndian.Uint32(b[1:])), int64(binary.LittleEndian.Uint32(b[5:]))
	if size > contentCap || stored > contentCap+1<<16 {
		return 0, nil, r.corrupt(fmt.Errorf("it has %d bytes, %d compressed", size, stored))
	}
	// Read as it comes: the size may be a lie.
	for left := stored; left > 0; {
		n := min(left, max(int64(len(b)), 4<<10))
		b = slices.Grow(b, int(n))
		got, err := io.ReadFull(r.r, b[len(b):len(b)+int(n)])
		if b = b[:len(b)+got]; err != nil {
			return 0, nil, ended(err, r.at)
		}
		left -= n
	}
	r.stored = b
	if checksum(b) != binary.LittleEndian.Uint32(b[9:]) {
		return 0, nil, r.corrupt(errors.New("its checksum is wrong"))
	}
	r.budget.read = r.at + int64(len(b))
	if r.total += size; r.total > min(totalCap, contentBase+contentPer*r.budget.read) {
		return 0, nil, r.corrupt(fmt.Errorf("the parts so far have %d bytes in %d compressed ones, more than the format allows", r.total, r.budget.read))
	}
	if r.content, err = r.expand(b[frameHead:], r.content[:0], size); err != nil {
		return 0, nil, r.corrupt(err)
	}
	r.at += int64(len(b))
	r.frames++
	return b[0], r.content, nil
}

// expand decompresses what has to become size bytes, into what it appends to out.
func (r *reader) expand(stored, out []byte, size int64) ([]byte, error) {
	if r.inflate == nil {
		r.inflate = flate.NewReader(bytes.NewReader(stored))
	} else if err := r.inflate.(flate.Resetter).Reset(bytes.NewReader(stored), nil); err != nil {
		return out, err
	}
	// A byte compresses to a thousandth at best, so that the size may be a lie here too.
	for int64(len(out)) < size {
		n := min(size-int64(len(out)), max(int64(len(out)), 16<<10))
		out = slices.Grow(out, int(n))
		got, err := io.ReadFull(r.inflate, out[len(out):len(out)+int(n)])
		if out = out[:len(out)+got]; errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return out, err
		}
	}
	n, err := r.inflate.Read(make([]byte, 1))
	if int64(len(out)) != size || n != 0 {
		return out, fmt.Errorf("it has not the %d bytes that it says", size)
	}
	if !errors.Is(err, io.EOF) {
		return out, err
	}
	return out, nil
}

func (r *reader) corrupt(err error) error {
	return fmt.Errorf("%w in the part at byte %d: %w", ErrCorrupt, r.at, err)
}

// ended tells a file that is cut off from one that cannot be read.
func ended(err error, at int64) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w at byte %d", ErrTruncated, at)
	}
	return err
}
