package llm

import (
	"fmt"
	"strconv"
	"strings"
)

// NanoDollars is an amount of money: 1e-9 US dollars. A price of one dollar
// for a million tokens is 1,000 of them for a token.
type NanoDollars int64

// Cents returns the amount in US cents.
func (n NanoDollars) Cents() float64 { return float64(n) / 1e7 }

// Dollars returns the amount as people write it, such as $0.0375.
func (n NanoDollars) Dollars() string {
	return "$" + strconv.FormatFloat(float64(n)/1e9, 'f', -1, 64)
}

// Price is what a model charges for one token.
type Price struct {
	In      NanoDollars
	Out     NanoDollars
	Cached  NanoDollars // for a token of the request that the provider's cache held
	Written NanoDollars // for a token of the request that went into the provider's cache

	// Long is the price of all tokens of a call whose request has more than Above;
	// nil when there is only one price.
	Above int64
	Long  *Price
}

// Cost is the price of a call.
func (p Price) Cost(usage Usage) NanoDollars {
	if p.Long != nil && usage.In > p.Above {
		return p.Long.Cost(usage)
	}
	fresh := usage.In - usage.Cached - usage.Written
	return NanoDollars(fresh)*p.In + NanoDollars(usage.Cached)*p.Cached + NanoDollars(usage.Written)*p.Written +
		NanoDollars(usage.Out)*p.Out
}

// most is the price of a call with at most so many tokens in and out, however
// they are charged.
func (p Price) most(in, out int64) NanoDollars {
	cost := NanoDollars(in)*max(p.In, p.Cached, p.Written) + NanoDollars(out)*p.Out
	if p.Long != nil && in > p.Above {
		cost = max(cost, p.Long.most(in, out))
	}
	return cost
}

// blended weighs the price of a model for comparison: chats read about three
// tokens for each one that they write.
func (p Price) blended() NanoDollars { return 3*p.In + p.Out }

// ParseDollars reads an amount such as 0.50 or 20. It takes the digits as they
// stand: most decimal fractions are not exact as floats.
func ParseDollars(text string) (NanoDollars, error) {
	nano, err := parseDecimal(text, 9)
	if err != nil {
		return 0, fmt.Errorf("%q is not an amount; expected US dollars, such as 0.50", text)
	}
	return nano, nil
}

// parseUSDPerMillion reads a price in US dollars for a million tokens, such as
// 0.075, as nano-dollars for one token.
func parseUSDPerMillion(text string) (NanoDollars, error) {
	const decimals, maxDollars = 3, 1_000_000
	if _, fraction, _ := strings.Cut(text, "."); len(strings.TrimRight(fraction, "0")) > decimals {
		return 0, fmt.Errorf("%s is finer than 0.001 dollars for a million tokens", text)
	}
	nano, err := parseDecimal(text, decimals)
	if err != nil || nano > maxDollars*1000 {
		return 0, fmt.Errorf("%s is not a price; expected dollars for a million tokens, 0 to %d, such as 0.075", text, maxDollars)
	}
	return nano, nil
}

// parseDecimal reads a number with a given number of decimals as a whole one of
// its smallest units.
func parseDecimal(text string, decimals int) (NanoDollars, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	fraction = strings.TrimRight(fraction, "0")
	if whole == "" || len(fraction) > decimals {
		return 0, strconv.ErrSyntax
	}
	units, err := strconv.ParseUint(whole+fraction+strings.Repeat("0", decimals-len(fraction)), 10, 63)
	return NanoDollars(units), err
}
