//go:build linux && (amd64 || arm64)

package profiler

import "time"

// observeCost is the processor time that the kernel takes to write the records of a page fault, of whatever memory: see
// docs/overhead.md.
const observeCost = 3400 * time.Nanosecond

// Cost is what observation has cost until now. It takes some microseconds.
func (p *Profiler) Cost() Cost {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	if p.obs != nil && p.binder != nil {
		n := p.obs.counts()
		all := p.agg.stats.Records + n.elsewhere
		p.cost = Cost{Engine: n.overhead, Faults: p.agg.stats.Records, Touchers: time.Duration(all) * observeCost}
	}
	if p.eng == nil {
		return p.cost
	}
	s := p.eng.Stats()
	p.cost = Cost{
		Engine: s.Overhead, Faults: s.Claimed + s.Dropped, Touchers: time.Duration(s.Claimed+s.Dropped) * TouchCost, Stopped: s.Stopped,
	}
	return p.cost
}

// Budget is what was done until now to keep the cost within the limit of WithBudget.
func (p *Profiler) Budget() Budget {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	return p.agg.stats.Budget
}

// setBudget has snapshots say what the steward reports.
func (p *Profiler) setBudget(b Budget) {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	p.agg.stats.Budget = b
}
