package main

import (
	"fmt"
	"slices"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

// contenders are the routers by name. The learner comes last.
var contenders = []string{"strong", "cheap", "random", "best in hindsight", "epsilon-greedy", "LinUCB", "Thompson", "learner"}

func newRouter(name string, s *stream, mode centralcloud.Mode, seed uint64) router {
	arms := len(s.data.prices)
	switch name {
	case "strong":
		return constant(func(string) []float64 { return only(s.strong, arms) })
	case "cheap":
		cheapest, least := 0, 0.0
		for a := range arms {
			var sum float64
			for place := range s.order[:s.half] {
				_, cost := s.at(place, a)
				sum += cost
			}
			if a == 0 || sum < least {
				cheapest, least = a, sum
			}
		}
		return constant(func(string) []float64 { return only(cheapest, arms) })
	case "random":
		return constant(func(string) []float64 { return slices.Repeat([]float64{1}, arms) })
	case "best in hindsight":
		return &hindsight{s: s}
	case "learner":
		return newLearning(s, mode)
	default:
		return newTextbook(name, s, seed)
	}
}

func only(arm, arms int) []float64 {
	weights := make([]float64, arms)
	weights[arm] = 1
	return weights
}

// constant routers have learned all that they will.
type constant func(task string) []float64

func (c constant) hear([]centralcloud.Row) {}
func (c constant) reprice(*stream, int)    {}
func (c constant) policy(int) func(string, int) []float64 {
	return func(task string, _ int) []float64 { return c(task) }
}

// hindsight knows the best arm of each task and phase beforehand.
type hindsight struct {
	s *stream
}

func (h *hindsight) hear([]centralcloud.Row) {}
func (h *hindsight) reprice(*stream, int)    {}
func (h *hindsight) policy(now int) func(string, int) []float64 {
	phase := 0
	if now*rate >= h.s.half {
		phase = 1
	}
	return func(task string, _ int) []float64 {
		return only(h.s.best[phase][h.s.tasks[task]], len(h.s.data.prices))
	}
}

// learning is the learner of CentralCloud.
type learning struct {
	ledger *learner.Ledger
	prices learner.Prices
	config learner.Config
	arms   []learner.Price
	alarms map[string]bool
}

func newLearning(s *stream, mode centralcloud.Mode) *learning {
	l := &learning{ledger: learner.NewLedger(), arms: s.data.prices, alarms: map[string]bool{}}
	l.prices = l.prices.With(time.Unix(0, 0), s.data.prices...)
	l.config = learner.Config{Mode: mode, Reference: s.data.prices[s.strong].Arm, CostWeight: s.weight}
	return l
}

func (l *learning) hear(rows []centralcloud.Row) {
	for _, row := range rows {
		l.ledger.Add(row)
	}
}

func (l *learning) reprice(s *stream, now int) {
	l.prices = l.prices.With(time.Unix(int64(now), 0), s.repriced()...)
}

func (l *learning) policy(now int) func(string, int) []float64 {
	policy := learner.Learn(l.ledger, l.prices, l.config, time.Unix(int64(now), 0))
	for _, event := range policy.DriftEvents {
		if event.Kind == centralcloud.QualityDrift {
			l.alarms[fmt.Sprint(event.Arm, event.At.Unix()/300)] = true
		}
	}
	return func(task string, bucket int) []float64 {
		weights := make([]float64, len(l.arms))
		row, _ := policy.Row(task, bucket)
		for _, arm := range row.Arms {
			a := slices.IndexFunc(l.arms, func(p learner.Price) bool { return p.Arm == arm.Arm })
			weights[a] = arm.Weight
		}
		return weights
	}
}
