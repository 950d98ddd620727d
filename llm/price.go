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

// Price is what a model charges for one token.
type Price struct {
	In     NanoDollars
	Out    NanoDollars
	Cached NanoDollars // for a token of the request that the provider's cache held
}

// Cost is the price of a call.
func (p Price) Cost(usage Usage) NanoDollars {
	fresh := usage.In - usage.Cached
	return NanoDollars(fresh)*p.In + NanoDollars(usage.Cached)*p.Cached + NanoDollars(usage.Out)*p.Out
}

// blended weighs the price of a model for comparison: chats read about three
// tokens for each one that they write.
func (p Price) blended() NanoDollars { return 3*p.In + p.Out }

// parseUSDPerMillion reads a price in US dollars for a million tokens, such as
// 0.075, as nano-dollars for one token. It takes the digits as they stand:
// most decimal fractions are not exact as floats.
func parseUSDPerMillion(text string) (NanoDollars, error) {
	const decimals, maxDollars = 3, 1_000_000
	whole, fraction, _ := strings.Cut(text, ".")
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > decimals {
		return 0, fmt.Errorf("%s is finer than 0.001 dollars for a million tokens", text)
	}
	digits := whole + fraction + strings.Repeat("0", decimals-len(fraction))
	nano, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || whole == "" || nano > maxDollars*1000 {
		return 0, fmt.Errorf("%s is not a price; expected dollars for a million tokens, 0 to %d, such as 0.075", text, maxDollars)
	}
	return NanoDollars(nano), nil
}
