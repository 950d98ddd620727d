package learner

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestFunctionsAgreeWithThoseOfMath(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	points := []float64{0, 1, -1, -1e-17, 1e-17, -1e-300, 63.0 / 64, -1.0 / 64, 600, -600}
	for range 10_000 {
		points = append(points, 40*random.NormFloat64())
	}
	for _, x := range points {
		for name, pair := range map[string][2]float64{
			"exp2": {exp2(x), math.Exp2(x)},
			"exp":  {exp(x), math.Exp(x)},
			"log":  {exp(log(math.Abs(x) + 1e-9)), math.Abs(x) + 1e-9},
		} {
			if math.Abs(pair[0]-pair[1]) > 1e-12*math.Abs(pair[1]) {
				t.Fatalf("%s at %v is %v, want %v", name, x, pair[0], pair[1])
			}
		}
		if got, want := quickLogistic(x), 1/(1+math.Exp(-max(-8, min(8, x)))); math.Abs(got-want) > 1e-5 {
			t.Fatalf("quickLogistic(%v) = %v, want %v", x, got, want)
		}
		if got, want := normalShare(x), math.Erfc(-x/math.Sqrt2)/2; math.Abs(got-want) > 2e-4 {
			t.Fatalf("normalShare(%v) = %v, want %v", x, got, want)
		}
	}
	for i := range 999 {
		p := float64(i+1) / 1000
		if got := math.Erfc(-normalQuantile(p)/math.Sqrt2) / 2; math.Abs(got-p) > 1e-8 {
			t.Fatalf("normalQuantile(%v) is the quantile of %v", p, got)
		}
	}
}

func TestInverseTimesMatrixIsTheIdentity(t *testing.T) {
	t.Parallel()
	m := newMatrix(3)
	copy(m.cells, []float64{4, 1, 0.5, 1, 3, -1, 0.5, -1, 5})
	for i := range 3 {
		unit := make([]float64, 3)
		unit[i] = 1
		for j, x := range m.times(m.inverse().times(unit)) {
			if math.Abs(x-unit[j]) > 1e-12 {
				t.Errorf("row %d, column %d is %v", j, i, x)
			}
		}
	}
}

func TestLeverageIsHowFarTheFitFollowsWhatIsSeen(t *testing.T) {
	t.Parallel()
	// Beforehand the sum of an ability (variance 1 and 2) and a difficulty (1) has a
	// variance of 4; at a chance of one half each call brings a quarter.
	for calls, want := range map[float64]float64{0: 0, 4: 0.8, 96: 96.0 / 97} {
		p := &picture{arms: make([]Price, 1), tasks: []string{"math"}, byTask: []evidence{{judged: calls, quality: calls / 2 * 1e6}}}
		if got := p.fitEffects().leverage[0]; math.Abs(got-want) > 1e-9 {
			t.Errorf("%v calls have a leverage of %v, want %v", calls, got, want)
		}
	}
}
