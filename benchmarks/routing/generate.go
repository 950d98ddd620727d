package main

import (
	"math"
	"math/rand/v2"
	"strconv"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

// generated is the shape of a data set that is made up: models whose ability
// rises with their price, but not strictly, at tasks of different difficulty,
// each with a knack for some of them.
type generated struct {
	requests int
	arms     int
	tasks    int
	seed     uint64
	// changed makes the arms of the middle of the stream others of the same
	// names: the dearest gets worse at every third task, the cheapest better.
	changed bool
}

func (g generated) dataset() *dataset {
	random := rand.New(rand.NewPCG(g.seed, 0x67656e))
	d := &dataset{}
	ability := make([]float64, g.arms)
	knack := make([][]float64, g.arms)
	length := make([]float64, g.arms)
	for a := range g.arms {
		// Prices from 0.05 dollars for a million tokens to 100 times as much.
		level := float64(a) / float64(max(1, g.arms-1))
		in := int64(50_000 * math.Pow(100, level))
		d.prices = append(d.prices, learner.Price{
			Arm: centralcloud.Arm{Provider: "made-up", Model: "model-" + strconv.Itoa(a)}, In: in, Out: 4 * in,
		})
		ability[a] = 1.6*level - 0.6 + 0.45*random.NormFloat64()
		length[a] = math.Exp(0.3 * random.NormFloat64())
		for range g.tasks {
			knack[a] = append(knack[a], 0.45*random.NormFloat64())
		}
	}
	ability[g.arms-1] += 0.4 // who is asked for the most can do something
	difficulty := make([]float64, g.tasks)
	for t := range difficulty {
		difficulty[t] = 0.7 * random.NormFloat64()
	}

	for i := range g.requests {
		task := random.IntN(g.tasks)
		r := request{id: strconv.Itoa(i), task: "task-" + strconv.Itoa(task), bucket: random.IntN(3)}
		hard := 0.8 * random.NormFloat64() // the same for all models
		in := int64(60 + random.ExpFloat64()*80*float64(1+r.bucket))
		draw := func(shift func(arm int) float64) []outcome {
			outcomes := make([]outcome, g.arms)
			for a := range outcomes {
				chance := 1 / (1 + math.Exp(-(ability[a] + knack[a][task] - difficulty[task] - hard + shift(a))))
				out := int64(20 + random.ExpFloat64()*150*length[a])
				outcomes[a] = outcome{in: in, out: out, millis: 300 + 8*out, success: random.Float64() < chance}
			}
			return outcomes
		}
		r.outcomes = draw(func(int) float64 { return 0 })
		if g.changed {
			r.later = draw(func(arm int) float64 {
				switch {
				case arm == g.arms-1 && task%3 == 0:
					return -2
				case arm == 0:
					return 1.5
				default:
					return 0
				}
			})
		}
		d.requests = append(d.requests, r)
	}
	return d
}
