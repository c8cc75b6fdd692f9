package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/uffd"
)

// trialBudget is how long a trial may take. It takes milliseconds; what does not end in this time
// hangs.
const trialBudget = 10 * time.Second

// Run asks the kernel, and tries the profiler in a child: the program at exe with args, which must
// write the result of Try as JSON.
func Run(ctx context.Context, exe string, args ...string) Report {
	return Examine(uffd.Probe(), ReadLimits(), tryInChild(ctx, trialBudget, exe, args...))
}

func tryInChild(ctx context.Context, budget time.Duration, exe string, args ...string) Trial {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, args...)
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("no answer within %v", budget)
	}
	t := Trial{Steps: []Step{}}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &t)
	}
	if err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(diag.String()), "\n")
		t.Reason = fmt.Sprintf("the trial ended early: %v", errors.Join(err, diagnosis(first)))
	}
	return t
}

func diagnosis(line string) error {
	if line == "" {
		return nil
	}
	return errors.New(line)
}

// WriteTrial is the child's part: it tries, with files in a directory of its own, and writes the result.
func WriteTrial(w io.Writer) error {
	dir, err := os.MkdirTemp("", "firsttouch-doctor-")
	if err != nil {
		return fmt.Errorf("directory for the trial: %w: set TMPDIR to one that can be written", err)
	}
	defer os.RemoveAll(dir)
	return json.NewEncoder(w).Encode(Try(dir))
}
