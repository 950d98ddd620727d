package learner

import "math"

// The functions here give the same bits on every machine: those of package math
// have assembly on some, and compilers may fuse x*y + z. A conversion to
// float64 forbids that, which is why products are converted in this package.

// exp2Steps are the powers of two between 1 and 2, in steps of a 64th.
var exp2Steps = func() (steps [64]float64) {
	for i := range steps {
		steps[i] = exp2Series(float64(i) / float64(len(steps)))
	}
	return steps
}()

func exp2Series(x float64) float64 {
	y := float64(x * math.Ln2)
	sum, term := 1.0, 1.0
	for i := 1; i <= 16; i++ {
		term = float64(term*y) / float64(i)
		sum += term
	}
	return sum
}

// exp2 returns 2 to the power of x, for x within [-1000, 1000].
func exp2(x float64) float64 {
	whole := math.Floor(x)
	fraction := float64((x - whole) * float64(len(exp2Steps)))
	step := min(int(fraction), len(exp2Steps)-1) // just below a whole number, the difference rounds to 1
	rest := float64((fraction - float64(step)) * (math.Ln2 / float64(len(exp2Steps))))
	power := math.Float64frombits(uint64(int64(whole)+1023) << 52)
	return float64(float64(power*exp2Steps[step]) * horner(rest, 1.0/120, 1.0/24, 1.0/6, 1.0/2, 1, 1))
}

func exp(x float64) float64 { return exp2(float64(max(-700, min(700, x)) / math.Ln2)) }

// log returns the natural logarithm of a positive number.
func log(x float64) float64 {
	mantissa, exponent := math.Frexp(x)
	if mantissa < math.Sqrt2/2 {
		mantissa, exponent = mantissa*2, exponent-1
	}
	y := (mantissa - 1) / (mantissa + 1)
	square, sum, power := float64(y*y), 0.0, y
	for i := 1; i <= 31; i += 2 {
		sum += power / float64(i)
		power = float64(power * square)
	}
	return float64(float64(exponent)*math.Ln2) + float64(2*sum)
}

func logistic(x float64) float64 { return 1 / (1 + exp(-x)) }

func logit(p float64) float64 {
	p = max(1e-4, min(1-1e-4, p))
	return log(p / (1 - p))
}

// The table behind quickLogistic: steps of 1/64 from -8 to 8.
const (
	logisticReach = 8
	logisticSteps = 64
)

var logisticTable = func() (table [2*logisticReach*logisticSteps + 2]float64) {
	for i := range table {
		table[i] = logistic(float64(i)/logisticSteps - logisticReach)
	}
	return table
}()

// quickLogistic is logistic to five digits, for the many draws of a choice.
func quickLogistic(x float64) float64 {
	position := float64((max(-logisticReach, min(logisticReach, x)) + logisticReach) * logisticSteps)
	i := int(position)
	return logisticTable[i] + float64((position-float64(i))*(logisticTable[i+1]-logisticTable[i]))
}

// normalQuantile is the inverse of the normal distribution function, to nine
// digits (Acklam's rational approximation).
func normalQuantile(p float64) float64 {
	const edge = 0.02425
	if p > 0.5 {
		return -normalQuantile(1 - p)
	}
	if p < edge {
		q := math.Sqrt(float64(-2 * log(p)))
		return horner(q, -7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783) /
			horner(q, 7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996, 3.754408661907416, 1)
	}
	q := p - 0.5
	r := float64(q * q)
	return float64(q*horner(r, -3.969683028665376e+01, 2.209460984245205e+02, -2.759285104469687e+02, 1.383577518672690e+02, -3.066479806614716e+01, 2.506628277459239)) /
		horner(r, -5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02, 6.680131188771972e+01, -1.328068155288572e+01, 1)
}

// horner evaluates a polynomial whose highest coefficient comes first.
func horner(x float64, coefficients ...float64) float64 {
	var sum float64
	for _, c := range coefficients {
		sum = float64(sum*x) + c
	}
	return sum
}

// normalShare is the normal distribution function, to four digits (a logistic
// of an odd polynomial, after Bowling and others).
func normalShare(x float64) float64 {
	cube := float64(float64(x*x) * x)
	return logistic(float64(0.07056*cube) + float64(1.5976*x))
}

// rounded keeps so many decimals: what differs beyond them is noise.
func rounded(x float64, decimals int) float64 {
	scale := 1.0
	for range decimals {
		scale *= 10
	}
	return math.Round(float64(x*scale)) / scale
}

func square(x float64) float64 { return float64(x * x) }
