package actors

import "time"

// cadence is how often the sweep asks the store what the messages may have
// missed: at first each least, less and less often while it finds nothing.
type cadence struct {
	least, most time.Duration
	quiet       time.Duration // in place of most, while nothing waits and others tell this node of all that happens
	shared      bool          // there may be others
	// owned is how many sweeps there are for each that also reads which runs the
	// boot owns.
	owned int
}

var (
	// On a store of its own a node hears of all that happens.
	aloneCadence = cadence{least: time.Second, most: 30 * time.Second, owned: 1}
	// What other nodes leave behind, they tell or the sweep finds.
	sharedCadence = cadence{least: 250 * time.Millisecond, most: 5 * time.Second, quiet: time.Minute, shared: true, owned: 6}
)

// next is the time from the next sweep to the one after it. Who waits for what
// others do, and is not told, asks as often as may be.
func (c cadence) next(present time.Duration, waits, told bool) time.Duration {
	switch {
	case !c.shared:
		return min(2*present, c.most)
	case told && !waits:
		return min(2*present, c.quiet)
	case waits && !told:
		return c.least
	default:
		return min(2*present, c.most)
	}
}
