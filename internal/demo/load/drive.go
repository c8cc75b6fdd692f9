package load

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Result says how a run went.
type Result struct {
	Requests int           `json:"requests"`
	Failures int           `json:"failures"`
	First    string        `json:"first_failure,omitempty"`
	Elapsed  time.Duration `json:"elapsed_ns"`
	// Digest stands for all answers: equal digests mean that every request got the same bytes.
	Digest uint64 `json:"digest,string"`
}

// Progress is told how many requests are done, often, from several goroutines.
type Progress func(done int)

// Drive sends the requests to the service at base, in order, from a number of clients that each
// wait for an answer before the next request. It returns early only when ctx ends.
func Drive(ctx context.Context, base string, paths []string, clients int, progress Progress) (Result, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	d := driver{base: base, paths: paths, client: client, progress: progress}
	start := time.Now()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() { d.run(ctx) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	d.result.Requests, d.result.Elapsed = len(paths), time.Since(start)
	return d.result, nil
}

type driver struct {
	base     string
	paths    []string
	client   *http.Client
	progress Progress
	next     atomic.Int64
	done     atomic.Int64

	mu     sync.Mutex // guards result
	result Result
}

func (d *driver) run(ctx context.Context) {
	for ctx.Err() == nil {
		i := int(d.next.Add(1) - 1)
		if i >= len(d.paths) {
			return
		}
		digest, err := d.get(ctx, i)
		d.mu.Lock()
		if err != nil {
			d.result.Failures++
			if d.result.First == "" {
				d.result.First = err.Error()
			}
		}
		d.result.Digest += digest // a sum, since answers come in any order
		d.mu.Unlock()
		if n := d.done.Add(1); d.progress != nil {
			d.progress(int(n))
		}
	}
}

// get returns a hash of the request's number and of its answer.
func (d *driver) get(ctx context.Context, i int) (uint64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+d.paths[i], nil)
	if err != nil {
		return 0, err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	sum := fnv.New64a()
	fmt.Fprintln(sum, i, resp.StatusCode)
	if _, err := io.Copy(sum, resp.Body); err != nil {
		return 0, fmt.Errorf("%s: %w", d.paths[i], err)
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: the service answered %s", d.paths[i], resp.Status)
	}
	return sum.Sum64(), nil
}
