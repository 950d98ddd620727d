package learner

import "slices"

// History lists every price that an arm ever had, by arm, then time. With, called
// for each of them, makes the table again.
func (p Prices) History() []Price { return slices.Clone(p.entries) }

// Equal reports whether two tables have the same history.
func (p Prices) Equal(other Prices) bool { return slices.Equal(p.entries, other.entries) }
