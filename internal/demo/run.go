package demo

import (
	"context"
	"errors"

	"github.com/firsttouch/firsttouch/internal/demo/load"
	"github.com/firsttouch/firsttouch/profiler"
)

// The phases: the same requests twice, first with the database on the disk.
var phases = []string{"cold", "warm"}

// Run is one run of the service.
type Run struct {
	PageCache PageCache `json:"page_cache"`
	Phases    []Phase   `json:"phases"`
}

// Phase is one pass over the requests.
type Phase struct {
	Name    string      `json:"name"`
	Load    load.Result `json:"load"`
	Service PhaseReply  `json:"service"`
}

// runService starts a service on a database that was dropped from the page cache, and sends it the
// requests. Without an error the service is still running; its address is host:port.
func (d *demo) runService(ctx context.Context, profile bool) (run Run, service *child, address string, err error) {
	if run.PageCache, err = dropPageCache(d.database); err != nil {
		return run, nil, "", err
	}
	if service, err = startChild(&d.Options); err != nil {
		return run, nil, "", err
	}
	if address, err = d.start(ctx, service, profile); err == nil && profile && d.Serve {
		err = d.announce(address)
	}
	if err == nil {
		run.Phases, err = d.drive(ctx, service, address, profile)
	}
	if err != nil {
		return run, nil, "", errors.Join(err, service.stop())
	}
	return run, service, address, nil
}

func (d *demo) start(ctx context.Context, service *child, profile bool) (address string, err error) {
	args := StartArgs{Database: d.database, Listen: "127.0.0.1:0", Profile: profile}
	if d.Windows {
		args.Cache, args.Windows, args.Heap = answerCache, d.Window, d.Heap
	}
	if profile {
		args.Listen, args.Granule, args.Out = d.Listen, d.Granule, d.out
	}
	var started StartReply
	if err := service.call(ctx, "Start", &args, &started); err != nil {
		return "", err
	}
	if started.Unsupported != "" {
		return "", refusedError(started.Unsupported)
	}
	return started.Address, nil
}

func (d *demo) drive(ctx context.Context, service *child, address string, profile bool) ([]Phase, error) {
	var list []Phase
	for _, name := range phases {
		p := Phase{Name: name}
		d.steps.phase(name, profile, len(d.paths))
		var err error
		p.Load, err = load.Drive(ctx, "http://"+address, d.paths, d.Concurrency, func(done int) {
			d.steps.at("requests", done, len(d.paths))
		})
		if err != nil {
			return nil, err
		}
		if err := service.call(ctx, "Phase", &struct{}{}, &p.Service); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	if d.Windows && profile {
		return list, d.driveWindows(ctx, address)
	}
	return list, nil
}

// refusedError is the service's ErrNotSupported, whose text came over the wire.
type refusedError string

func (e refusedError) Error() string {
	return "this system does not allow the profiler to run; 'firsttouch doctor' shows what does and does not work: " + string(e)
}

func (e refusedError) Unwrap() error { return profiler.ErrNotSupported }
