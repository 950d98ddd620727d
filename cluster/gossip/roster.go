package gossip

import (
	"cmp"
	"maps"
	"slices"
)

// notice is the last that memberlist said of a member.
type notice struct {
	boot    string
	address string
	meta    []byte
	gone    bool
}

// roster is what became of all notices so far. It is no more than a value with
// rules, used by one goroutine.
type roster struct {
	self      string
	version   uint64
	members   map[string]Member
	strangers map[string]string // addresses of those whose metadata cannot be read, by boot
}

func newRoster(self string) *roster {
	return &roster{self: self, members: map[string]Member{}, strangers: map[string]string{}}
}

// take applies a notice. Gone is set when a member is no longer one. The error
// says that the metadata of a member cannot be read: one that is known stays as it
// was, and one that is not is none.
func (r *roster) take(n notice) (gone *Change, err error) {
	if n.gone {
		return r.drop(n), nil
	}
	described, err := decode(n.meta)
	if err != nil {
		if _, known := r.members[n.boot]; !known {
			r.strangers[n.boot] = n.address
		}
		return nil, err
	}
	delete(r.strangers, n.boot)
	r.members[n.boot] = member(n, described)
	return nil, nil
}

func (r *roster) drop(n notice) *Change {
	delete(r.strangers, n.boot)
	last, known := r.members[n.boot]
	if !known || n.boot == r.self { // whoever leaves sees itself go
		return nil
	}
	delete(r.members, n.boot)
	// The announcement may be news in this very notice.
	if described, err := decode(n.meta); err == nil {
		last = member(n, described)
	}
	if last.Leaving {
		return &Change{Left, last}
	}
	return &Change{Dead, last}
}

func member(n notice, described card) Member {
	return Member{
		Boot:     n.boot,
		Instance: described.Instance,
		Address:  n.address,
		Meta:     described.Meta,
		Leaving:  described.Leaving,
	}
}

// view returns a view of the present members, with the next version.
func (r *roster) view() View {
	r.version++
	return View{
		version:   r.version,
		members:   slices.SortedFunc(maps.Values(r.members), func(a, b Member) int { return cmp.Compare(a.Boot, b.Boot) }),
		strangers: slices.Collect(maps.Values(r.strangers)),
	}
}
