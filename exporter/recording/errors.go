package recording

import "errors"

// Errors that callers may test for with errors.Is.
var (
	// ErrNotRecording: the data does not begin as a recording does.
	ErrNotRecording = errors.New("not a firsttouch recording")
	// ErrNewer: the recording was written in a later version of the format.
	ErrNewer = errors.New("the recording was written by a newer firsttouch")
	// ErrTruncated: the data ends before the recording does. What came before the end was read.
	ErrTruncated = errors.New("the recording is cut off")
	// ErrCorrupt: a part of the data is not what was written, or asks for more memory than the size of the data can
	// justify. What came before it was read.
	ErrCorrupt = errors.New("the recording is damaged")
)
