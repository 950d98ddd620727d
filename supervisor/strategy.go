package supervisor

import "fmt"

// A Strategy says which children are restarted together.
type Strategy int

const (
	// OneForOne restarts the child that ended and no other.
	OneForOne Strategy = iota
	// OneForAll stops all the others and starts all children again.
	OneForAll
	// RestForOne does so with the children that were started after the one that
	// ended; those before it run on.
	RestForOne
)

// String returns the name that OTP gives the strategy.
func (s Strategy) String() string {
	switch s {
	case OneForOne:
		return "one_for_one"
	case OneForAll:
		return "one_for_all"
	case RestForOne:
		return "rest_for_one"
	default:
		return fmt.Sprintf("Strategy(%d)", int(s))
	}
}

// span returns the range [from, to) of the n children, in start order, that are
// restarted together with child i.
func (s Strategy) span(i, n int) (from, to int) {
	switch s {
	case OneForAll:
		return 0, n
	case RestForOne:
		return i, n
	case OneForOne:
	}
	return i, i + 1
}

// A Restart says after which ends a child is started again. An end is abnormal if
// the child panicked and normal if it stopped itself.
type Restart int

const (
	// Permanent children are always started again.
	Permanent Restart = iota
	// Transient children are started again after an abnormal end.
	Transient
	// Temporary children are never started again, not even together with others.
	Temporary
)

// String returns the name that OTP gives the restart type.
func (r Restart) String() string {
	switch r {
	case Permanent:
		return "permanent"
	case Transient:
		return "transient"
	case Temporary:
		return "temporary"
	default:
		return fmt.Sprintf("Restart(%d)", int(r))
	}
}

// after reports whether a child that ended by itself is started again.
func (r Restart) after(abnormal bool) bool {
	return r == Permanent || r == Transient && abnormal
}
