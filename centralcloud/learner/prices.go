package learner

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"singularity/centralcloud"
)

// Price is what an arm charges for a token from some time on.
type Price struct {
	centralcloud.Arm
	In    int64 // in 1e-12 dollars, which makes it 1e-6 dollars for a million tokens
	Out   int64
	Since int64 // in Unix seconds
}

// perToken is one dollar for a million tokens, in the unit of [Price].
const perToken = 1_000_000

// dollars is the price of a million tokens in and a million out.
func (p Price) dollars() float64 { return float64(p.In+p.Out) / perToken }

// Prices is the table of prices and how it came about. It is a value: With
// returns another one.
type Prices struct {
	entries []Price // by arm, then time
}

// With returns the table after these arms had these prices from a time on. All
// others keep theirs, and an arm whose price is the one it has is left alone.
func (p Prices) With(since time.Time, changed ...Price) Prices {
	next := Prices{entries: slices.Clone(p.entries)}
	for _, price := range changed {
		price.Since = since.Unix()
		next.entries = slices.DeleteFunc(next.entries, func(e Price) bool { return e.Arm == price.Arm && e.Since >= price.Since })
		if last, found := next.at(price.Arm, price.Since); found && last.In == price.In && last.Out == price.Out {
			continue
		}
		next.entries = append(next.entries, price)
	}
	slices.SortStableFunc(next.entries, func(a, b Price) int { return a.Compare(b.Arm) })
	return next
}

// arms lists the arms that have a price at a time, in order.
func (p Prices) arms(now int64) []Price {
	var arms []Price
	for _, entry := range p.entries {
		if entry.Since > now {
			continue
		}
		if last := len(arms) - 1; last >= 0 && arms[last].Arm == entry.Arm {
			arms[last] = entry
		} else {
			arms = append(arms, entry)
		}
	}
	return arms
}

// at returns the price of an arm at a time.
func (p Prices) at(arm centralcloud.Arm, now int64) (price Price, found bool) {
	for _, entry := range p.entries {
		if entry.Arm == arm && entry.Since <= now {
			price, found = entry, true
		}
	}
	return price, found
}

// first returns the earliest price of an arm.
func (p Prices) first(arm centralcloud.Arm) Price {
	i := slices.IndexFunc(p.entries, func(e Price) bool { return e.Arm == arm })
	return p.entries[i]
}

// changes lists what arms were repriced since a time.
func (p Prices) changes(from, now int64) []centralcloud.DriftEvent {
	var events []centralcloud.DriftEvent
	for i, entry := range p.entries {
		if i == 0 || p.entries[i-1].Arm != entry.Arm || entry.Since <= from || entry.Since > now {
			continue
		}
		events = append(events, centralcloud.DriftEvent{
			Arm: entry.Arm, Kind: centralcloud.PriceDrift, At: time.Unix(entry.Since, 0).UTC(),
			From: p.entries[i-1].dollars(), To: entry.dollars(),
		})
	}
	return events
}

// History lists every price that an arm ever had, by arm, then time. With, called
// for each of them, makes the table again.
func (p Prices) History() []Price { return slices.Clone(p.entries) }

// Equal reports whether two tables have the same history.
func (p Prices) Equal(other Prices) bool { return slices.Equal(p.entries, other.entries) }

// QuotedPrice is a price as files and messages have it.
type QuotedPrice struct {
	Model    string  `json:"model"`
	Provider string  `json:"provider"`
	In       float64 `json:"usd_per_mtok_in"`
	Out      float64 `json:"usd_per_mtok_out"`
}

// Price converts a quoted price. It must be 0 to a million dollars, to a
// millionth of a dollar.
func (q QuotedPrice) Price() (Price, error) {
	var problems []error
	convert := func(field string, dollars float64) int64 {
		if !(dollars >= 0 && dollars <= 1_000_000) {
			problems = append(problems, fmt.Errorf("%s: is %v; expected dollars for a million tokens, 0 to 1000000", field, dollars))
			return 0
		}
		return int64(dollars*perToken + 0.5)
	}
	price := Price{
		Arm: centralcloud.Arm{Provider: q.Provider, Model: q.Model},
		In:  convert("usd_per_mtok_in", q.In),
		Out: convert("usd_per_mtok_out", q.Out),
	}
	if q.Model == "" {
		problems = append(problems, errors.New("model: is missing"))
	}
	return price, errors.Join(problems...)
}
