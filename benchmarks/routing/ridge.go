package main

import "math"

// ridge is a ridge regression whose features are 0 or 1.
type ridge struct {
	size    int
	inverse []float64
	sums    []float64
}

func newRidge(size int) *ridge {
	r := &ridge{size: size, inverse: make([]float64, size*size), sums: make([]float64, size)}
	for i := range size {
		r.inverse[i*size+i] = 1
	}
	return r
}

// learn adds an observation, by the formula of Sherman and Morrison.
func (r *ridge) learn(features []int, value float64) {
	column := r.times(features)
	norm := 1.0
	for _, f := range features {
		r.sums[f] += value
		norm += column[f]
	}
	for i, x := range column {
		for j, y := range column {
			r.inverse[i*r.size+j] -= x * y / norm
		}
	}
}

func (r *ridge) predict(features []int) (mean, deviation float64) {
	var variance float64
	column := r.times(features)
	for i, x := range column {
		mean += x * r.sums[i]
	}
	for _, f := range features {
		variance += column[f]
	}
	return mean, math.Sqrt(max(0, variance))
}

func (r *ridge) times(features []int) []float64 {
	column := make([]float64, r.size)
	for i := range column {
		for _, f := range features {
			column[i] += r.inverse[i*r.size+f]
		}
	}
	return column
}
