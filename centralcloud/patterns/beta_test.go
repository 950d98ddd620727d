package patterns

import (
	"math"
	"testing"
)

func TestBetaQuantilesAreThoseOfTables(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ p, a, b, want float64 }{
		{0.3, 1, 1, 0.3},
		{0.975, 1, 3, 1 - math.Pow(0.025, 1.0/3)},
		{0.025, 4, 1, math.Pow(0.025, 0.25)},
		{0.5, 7, 7, 0.5},
		{0.5, 0.5, 0.5, 0.5},
		{0.25, 0.5, 0.5, math.Pow(math.Sin(math.Pi/8), 2)},
	} {
		if got := betaQuantile(test.p, test.a, test.b); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("quantile %g of Beta(%g, %g) is %.10f, want %.10f", test.p, test.a, test.b, got, test.want)
		}
	}
}

func TestIntervalOfADifferenceIsThatOfTheLiterature(t *testing.T) {
	t.Parallel()
	// Newcombe's of 56 of 70 less 48 of 80.
	a := share{samples: 70, weight: 70, squares: 70, hits: 56}
	b := share{samples: 80, weight: 80, squares: 80, hits: 48}
	low, high := difference(a, b, 1.96)
	if math.Abs(low-0.0524) > 1e-4 || math.Abs(high-0.3339) > 1e-4 {
		t.Errorf("the interval of the difference is %.4f to %.4f, want 0.0524 to 0.3339", low, high)
	}
}
