package gossip

import (
	"cmp"
	"fmt"
	"slices"
)

// View is who was in the cluster at one moment, as one member saw it. It never
// changes. The zero value is empty.
type View struct {
	version   uint64
	members   []Member // by boot
	strangers []string // addresses of those who are there but whose metadata cannot be read
}

// Version tells views of one [Gossip] apart: a later one has a higher number.
func (v View) Version() uint64 { return v.version }

// Len is the number of members.
func (v View) Len() int { return len(v.members) }

// Members returns all members, sorted by boot, this one among them.
func (v View) Members() []Member { return slices.Clone(v.members) }

// Member returns the member of a boot.
func (v View) Member(boot string) (Member, bool) {
	i, found := slices.BinarySearchFunc(v.members, boot, func(m Member, boot string) int { return cmp.Compare(m.Boot, boot) })
	if !found {
		return Member{}, false
	}
	return v.members[i], true
}

// Unreadable is how many are there beside the members whose metadata cannot be
// read.
func (v View) Unreadable() int { return len(v.strangers) }

// Occupied reports whether somebody is known to be at an address, in numbers.
func (v View) Occupied(address string) bool {
	return slices.Contains(v.strangers, address) ||
		slices.ContainsFunc(v.members, func(m Member) bool { return m.Address == address })
}

// Kind says what happened to a member.
type Kind int

// What happens to members.
const (
	// Joined: it is in the view now.
	Joined Kind = iota + 1
	// Updated: what it says about itself changed.
	Updated
	// Left: it is gone, and had announced it.
	Left
	// Dead: it is gone and had announced nothing. It crashed, or is paused, or
	// cannot be reached from here.
	Dead
)

func (k Kind) String() string {
	switch k {
	case Joined:
		return "joined"
	case Updated:
		return "updated"
	case Left:
		return "left"
	case Dead:
		return "dead"
	default:
		return fmt.Sprintf("Kind(%d)", int(k))
	}
}

// Change is what happened to one member between two views. Who came and went in
// between is no change, and neither is who went and came.
type Change struct {
	Kind   Kind
	Member Member // as it is now; as it was last when it is gone
}

// changes compares two views. Gone has how those went who have gone in between;
// they may be in neither view.
func changes(before, after View, gone map[string]Change) []Change {
	var all []Change
	old, now := before.members, after.members
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].Boot < now[0].Boot:
			all = append(all, gone[old[0].Boot])
			old = old[1:]
		case len(old) == 0 || now[0].Boot < old[0].Boot:
			all = append(all, Change{Joined, now[0]})
			now = now[1:]
		default:
			if old[0] != now[0] {
				all = append(all, Change{Updated, now[0]})
			}
			old, now = old[1:], now[1:]
		}
	}
	return all
}
