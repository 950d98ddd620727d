package patterns

import "math"

// betaQuantile is the value below which a variable with the distribution
// Beta(a, b) is with probability p.
func betaQuantile(p, a, b float64) float64 {
	low, high := 0.0, 1.0
	for range 50 {
		middle := (low + high) / 2
		if betaShare(middle, a, b) < p {
			low = middle
		} else {
			high = middle
		}
	}
	return (low + high) / 2
}

// normalTail is the probability that a normal variable is above its mean by more
// than so many standard deviations.
func normalTail(deviations float64) float64 { return math.Erfc(deviations/math.Sqrt2) / 2 }

// betaShare is the regularized incomplete beta function.
func betaShare(x, a, b float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2): // where the fraction converges slowly
		return 1 - betaShare(1-x, b, a)
	}
	whole, _ := math.Lgamma(a + b)
	left, _ := math.Lgamma(a)
	right, _ := math.Lgamma(b)
	front := math.Exp(whole - left - right + a*math.Log(x) + b*math.Log1p(-x))
	return front * betaFraction(x, a, b) / a
}

// betaFraction is the continued fraction of the incomplete beta function, by
// Lentz's method.
func betaFraction(x, a, b float64) float64 {
	const tiny, precise = 1e-300, 1e-14
	nonzero := func(y float64) float64 {
		if math.Abs(y) < tiny {
			return tiny
		}
		return y
	}
	c, d := 1.0, 1/nonzero(1-(a+b)*x/(a+1))
	fraction := d
	for m := 1.0; m < 1000; m++ {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d, c = 1/nonzero(1+even*d), nonzero(1+even/c)
		fraction *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d, c = 1/nonzero(1+odd*d), nonzero(1+odd/c)
		fraction *= d * c
		if math.Abs(d*c-1) < precise {
			break
		}
	}
	return fraction
}
