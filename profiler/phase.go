package profiler

// Phase says in a word how a region's working set develops.
type Phase string

// The phases, by what was touched in one window. What is new and what came from the disk again counts from 1 MiB on, or 1% of what is
// mapped where that is less: a few pages say nothing of a working set.
const (
	// PhaseCold: more than half was touched for the first time since windows began, or nothing ever was.
	PhaseCold Phase = "cold"
	// PhaseWarming: more than a twentieth was touched for the first time.
	PhaseWarming Phase = "warming"
	// PhaseSteady: nearly all had been touched in an earlier window, or nothing was touched.
	PhaseSteady Phase = "steady"
	// PhaseThrashing: more than a tenth had been touched in an earlier window and came from the disk again.
	PhaseThrashing Phase = "thrashing"
)

// Phases are all phases, in the order in which a service goes through them.
func Phases() []Phase { return []Phase{PhaseCold, PhaseWarming, PhaseSteady, PhaseThrashing} }

// phaseFloor is what counts, in bytes.
const phaseFloor = 1 << 20

// Phase is that of a window, or empty where the window is not known.
func (w *RegionWindow) Phase() Phase {
	floor := min(phaseFloor, w.Mapped/100)
	switch {
	case w.Err != nil:
		return ""
	case w.Reread >= floor && w.Reread*10 > w.Touched:
		return PhaseThrashing
	case w.New >= floor && w.New*2 > w.Touched, w.Touched == 0 && w.Never >= w.Mapped:
		return PhaseCold
	case w.New >= floor && w.New*20 > w.Touched:
		return PhaseWarming
	}
	return PhaseSteady
}
