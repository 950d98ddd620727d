package centralcloud_test

import (
	"math"
	"testing"

	"singularity/centralcloud"
)

func TestIntervalsOfSharesAreThoseOfTheLiterature(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ share, n, low, high float64 }{
		{0.1, 100, 0.0552, 0.1744}, {0, 20, 0, 0.1611}, {1, 20, 0.8389, 1}, {0, 0, 0, 1},
	} {
		low, high := centralcloud.Wilson(test.share, test.n, 1.96)
		if math.Abs(low-test.low) > 1e-4 || math.Abs(high-test.high) > 1e-4 {
			t.Errorf("the interval of %g of %g is %.4f to %.4f, want %.4f to %.4f", test.share, test.n, low, high, test.low, test.high)
		}
	}
}
