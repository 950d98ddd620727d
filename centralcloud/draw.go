package centralcloud

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// Draw returns a number in [0, 1) for a request: the same one whenever and
// wherever it is asked under the same policy, so that choices can be replayed.
func Draw(requestID, taskType string, bucket int, version int64) float64 {
	const usual = 256 // bytes; as many need no allocation
	text := strconv.AppendQuote(make([]byte, 0, usual), requestID)
	text = strconv.AppendQuote(append(text, ' '), taskType)
	text = strconv.AppendInt(append(text, ' '), int64(bucket), 10)
	text = strconv.AppendInt(append(text, ' '), version, 10)
	sum := sha256.Sum256(text)
	return float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53)
}

// Pick returns which of the row's arms a draw stands for, and the probability with
// which it was chosen among those that are usable. It finds none when no usable
// arm has a weight.
func (r PolicyRow) Pick(draw float64, usable func(i int) bool) (picked int, propensity float64, found bool) {
	var total float64
	for i := range r.Arms {
		if r.Arms[i].Weight > 0 && usable(i) {
			total += r.Arms[i].Weight
		}
	}
	rest := draw * total
	for i := range r.Arms {
		weight := r.Arms[i].Weight
		if weight <= 0 || !usable(i) {
			continue
		}
		picked, propensity, found = i, weight/total, true
		if rest < weight {
			break
		}
		rest -= weight
	}
	return picked, propensity, found
}
