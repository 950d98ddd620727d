package centralcloud

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Draw returns a number in [0, 1) for a request: the same one whenever and
// wherever it is asked under the same policy, so that choices can be replayed.
func Draw(requestID, taskType string, bucket int, version int64) float64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d", requestID, taskType, bucket, version))
	return float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53)
}

// Pick returns the arm that a draw stands for, and the probability with which
// it was chosen among those that are usable. It finds none when no usable arm
// has a weight.
func (r PolicyRow) Pick(draw float64, usable func(Arm) bool) (arm PolicyArm, propensity float64, found bool) {
	var total float64
	for _, candidate := range r.Arms {
		if candidate.Weight > 0 && usable(candidate.Arm) {
			total += candidate.Weight
		}
	}
	rest := draw * total
	for _, candidate := range r.Arms {
		if candidate.Weight <= 0 || !usable(candidate.Arm) {
			continue
		}
		arm, found = candidate, true
		if rest < candidate.Weight {
			break
		}
		rest -= candidate.Weight
	}
	if !found {
		return PolicyArm{}, 0, false
	}
	return arm, arm.Weight / total, true
}
