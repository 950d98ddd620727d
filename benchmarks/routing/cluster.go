package main

import (
	"math/rand/v2"

	"singularity/centralcloud"
)

// cluster is the nodes, and the policy that they fetch.
type cluster struct {
	nodes  []*node
	latest func(task string, bucket int) []float64
}

type node struct {
	number   int
	policy   func(task string, bucket int) []float64
	rows     []centralcloud.Row // since its last report
	errors   []int              // in a row, by arm
	closedAt []int              // until when its breaker keeps it from an arm
}

func newCluster(arms int) *cluster {
	c := &cluster{}
	for number := range nodes {
		c.nodes = append(c.nodes, &node{number: number, errors: make([]int, arms), closedAt: make([]int, arms)})
	}
	return c
}

func (c *cluster) publish(policy func(task string, bucket int) []float64) { c.latest = policy }

// fetch gives the latest policy to the nodes that look for one in a second, and
// to those that have none.
func (c *cluster) fetch(second int) {
	for _, n := range c.nodes {
		if n.policy == nil || second%policyEvery == n.number%policyEvery {
			n.policy = c.latest
		}
	}
}

func (n *node) fail(arm, second int) {
	if n.errors[arm]++; n.errors[arm] == breakerAfter {
		n.errors[arm], n.closedAt[arm] = 0, second+breakerFor
	}
}

// reports are those that nodes send in a second. Some of an adverse network's
// come late, and some twice.
func (c *cluster) reports(second int, adverse bool, random *rand.Rand) (sent []report) {
	for _, n := range c.nodes {
		if second%reportEvery != n.number*7%reportEvery || len(n.rows) == 0 {
			continue
		}
		r := report{due: second + 1, rows: n.rows}
		n.rows = nil
		if adverse {
			if random.Float64() < 0.15 {
				r.due += 30 + random.IntN(180)
			}
			if random.Float64() < 0.15 {
				sent = append(sent, report{r.due + random.IntN(120), r.rows})
			}
		}
		sent = append(sent, r)
	}
	return sent
}

// deliver hands over what is due and returns the rest.
func deliver(wire []report, second int, to router) []report {
	var rest []report
	for _, r := range wire {
		if r.due <= second {
			to.hear(r.rows)
		} else {
			rest = append(rest, r)
		}
	}
	return rest
}
