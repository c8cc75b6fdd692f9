package profiler

import "fmt"

// Delivery is how a first touch reaches the engine.
type Delivery uint8

const (
	// DeliveryThread has threads of the engine resolve the fault while the toucher waits. System calls
	// that are given memory not yet touched are served too, and threads may block what signals they like.
	DeliveryThread Delivery = iota
	// DeliverySignal has the toucher get a signal, whose handler resolves the fault there and then: a fraction of the cost,
	// with the full stack. It is SIGBUS, from the kernel, for arenas; and SIGSEGV for files, the access to which is taken
	// away: they are not registered with userfaultfd, and who touches a page waits for storage as without a profiler. In exchange
	//   - a system call that is given memory not yet touched fails with EFAULT, so copy before
	//     (Stats.UserModeOnly): choosing it allows what WithFailingSystemCalls allows, and the first note says so;
	//   - a thread that blocks these signals, as some C libraries' do, is killed at its first touch, and the process with
	//     it: New refuses where there is one, and cannot see those that come later;
	//   - a handler of theirs that is installed later must pass on what it does not know.
	// All others of these signals go to the handler that was installed before, which is Go's unless C code has one.
	// Ours stays in front of it for the life of the process.
	DeliverySignal
)

// String is the value of FIRSTTOUCH_DELIVERY.
func (d Delivery) String() string {
	switch d {
	case DeliveryThread:
		return "thread"
	case DeliverySignal:
		return "signal"
	}
	return fmt.Sprintf("Delivery(%d)", uint8(d))
}

// WithDelivery sets how first touches reach the engine. The default is DeliveryThread.
func WithDelivery(d Delivery) Option {
	return optionFunc(func(c *config) error {
		if d > DeliverySignal {
			return fmt.Errorf("%w: delivery %v: choose DeliveryThread or DeliverySignal", ErrInvalid, d)
		}
		c.delivery = d
		return nil
	})
}
