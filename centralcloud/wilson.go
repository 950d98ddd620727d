package centralcloud

import "math"

// Wilson is the interval of a share of n, by so many standard deviations (Wilson's
// score). Products are rounded before they are added, so that all machines agree.
func Wilson(share, n, deviations float64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	square := float64(deviations * deviations)
	middle := share + square/(2*n)
	spread := float64(deviations * math.Sqrt(float64(share*(1-share))/n+square/float64(4*n*n)))
	whole := 1 + square/n
	return max(0, (middle-spread)/whole), min(1, (middle+spread)/whole)
}
