package engine

import (
	"fmt"

	"github.com/firsttouch/firsttouch/uffd"
)

// ErrLocked: arming would let go pages that the process wants locked in memory, or lock more than it may.
var ErrLocked = fmt.Errorf("%w: the memory is locked (mlock, mlockall)", uffd.ErrNotSupported)
