package main

import (
	"math"
	"math/rand/v2"

	"singularity/centralcloud"
)

// textbook is a bandit as textbooks have it: it learns utility for each task on
// its own, and counts whatever comes, as often as it comes.
type textbook struct {
	name    string
	s       *stream
	random  *rand.Rand
	tallies [][]tally // by task and arm
	linear  []*ridge  // by arm, for LinUCB
}

type tally struct{ n, successes, cost float64 }

func newTextbook(name string, s *stream, seed uint64) *textbook {
	t := &textbook{name: name, s: s, random: rand.New(rand.NewPCG(seed, 0x62616e646974))}
	for range s.tasks {
		t.tallies = append(t.tallies, make([]tally, len(s.data.prices)))
	}
	for range s.data.prices {
		t.linear = append(t.linear, newRidge(len(s.tasks)+3))
	}
	return t
}

func (t *textbook) reprice(*stream, int) {}

func (t *textbook) hear(rows []centralcloud.Row) {
	for _, row := range rows {
		task := t.s.tasks[row.TaskType]
		for a, p := range t.s.data.prices {
			if p.Arm != row.Arm {
				continue
			}
			counted := &t.tallies[task][a]
			counted.n++
			counted.successes += float64(row.Successes)
			counted.cost += float64(row.Cost)
			t.linear[a].learn(t.features(task, row.Bucket), t.s.utility(row.Successes > 0, float64(row.Cost)))
		}
	}
}

func (t *textbook) features(task, bucket int) []int { return []int{task, len(t.s.tasks) + bucket} }

func (t *textbook) policy(int) func(string, int) []float64 {
	byTask := make([][]float64, len(t.tallies))
	for task := range byTask {
		switch t.name {
		case "epsilon-greedy":
			byTask[task] = t.greedy(task)
		case "Thompson":
			byTask[task] = t.thompson(task)
		}
	}
	if t.name == "LinUCB" {
		return t.linUCB
	}
	return func(task string, _ int) []float64 { return byTask[t.s.tasks[task]] }
}

// meanCost is optimistic while nothing is known.
func (c tally) meanCost() float64 { return c.cost / max(1, c.n) }

func (t *textbook) greedy(task int) []float64 {
	const epsilon = 0.1
	best, most := 0, math.Inf(-1)
	for a, c := range t.tallies[task] {
		value := (c.successes+1)/(c.n+1) - t.s.weight*c.meanCost()/t.s.mean
		if value > most {
			best, most = a, value
		}
	}
	weights := only(best, len(t.tallies[task]))
	for a := range weights {
		weights[a] = (1-epsilon)*weights[a] + epsilon/float64(len(weights))
	}
	return weights
}

func (t *textbook) thompson(task int) []float64 {
	const draws = 100
	weights := make([]float64, len(t.tallies[task]))
	for range draws {
		best, most := 0, math.Inf(-1)
		for a, c := range t.tallies[task] {
			value := t.beta(1+c.successes, 1+c.n-c.successes) - t.s.weight*c.meanCost()/t.s.mean
			if value > most {
				best, most = a, value
			}
		}
		weights[best] += 1.0 / draws
	}
	return weights
}

func (t *textbook) linUCB(task string, bucket int) []float64 {
	const confidence = 0.5
	best, most := 0, math.Inf(-1)
	for a, model := range t.linear {
		mean, deviation := model.predict(t.features(t.s.tasks[task], bucket))
		if value := mean + confidence*deviation; value > most {
			best, most = a, value
		}
	}
	return only(best, len(t.linear))
}

func (t *textbook) beta(a, b float64) float64 {
	x, y := t.gamma(a), t.gamma(b)
	return x / (x + y)
}

// gamma draws from a gamma distribution with a shape of at least 1, by the
// method of Marsaglia and Tsang.
func (t *textbook) gamma(shape float64) float64 {
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := t.random.NormFloat64()
		v := (1 + c*x) * (1 + c*x) * (1 + c*x)
		if v > 0 && math.Log(t.random.Float64()) < 0.5*x*x+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}
