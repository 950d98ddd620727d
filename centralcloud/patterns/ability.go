package patterns

import (
	"maps"
	"math"
	"slices"

	"singularity/centralcloud"
)

// Ability is how good a model is, apart from how hard its tasks were: the
// logarithm of the odds of its success, above that of the average model at the
// same tasks.
type Ability struct {
	Value     float64 `json:"value"`
	Deviation float64 `json:"deviation"` // standard error
}

const (
	abilitySpread = 1.5 // of models and of tasks, beforehand
	abilitySweeps = 50
)

// abilities fits the Rasch model to the judged answers of arms at tasks: the
// chance of a success is that of an ability against a difficulty. Each effect in
// turn takes a step of Newton's method.
func abilities(sums map[armTask]*total) map[centralcloud.Arm]Ability {
	arms, tasks := map[centralcloud.Arm]*effect{}, map[string]*effect{}
	kinds := slices.SortedFunc(maps.Keys(sums), armTask.compare)
	kinds = slices.DeleteFunc(kinds, func(k armTask) bool { return sums[k].sum.Judged == 0 })
	for _, k := range kinds {
		entry(arms, k.arm)
		entry(tasks, k.task)
	}
	for range abilitySweeps {
		for _, k := range kinds {
			arms[k.arm].see(&sums[k].sum, tasks[k.task].value)
		}
		var mean float64
		for _, arm := range arms {
			arm.step()
		}
		for _, arm := range slices.SortedFunc(maps.Keys(arms), centralcloud.Arm.Compare) {
			mean += arms[arm].value / float64(len(arms))
		}
		for _, arm := range arms {
			arm.value -= mean // the average is zero; tasks take what all have in common
		}
		for _, k := range kinds {
			tasks[k.task].see(&sums[k].sum, arms[k.arm].value)
		}
		for _, task := range tasks {
			task.step()
		}
	}
	fit := map[centralcloud.Arm]Ability{}
	for arm, e := range arms {
		information := 1 / (abilitySpread * abilitySpread)
		for _, k := range kinds {
			if k.arm == arm {
				// What is known of the model by this task is no more than is known of the task.
				own := informationOf(&sums[k].sum, e.value+tasks[k.task].value)
				information += own * (1 - own/tasks[k.task].known)
			}
		}
		fit[arm] = Ability{rounded(e.value), rounded(1 / math.Sqrt(information))}
	}
	return fit
}

// effect is an ability, or the ease of a task.
type effect struct {
	value, known       float64
	slope, information float64
}

func (e *effect) see(c *centralcloud.Counters, other float64) {
	chance := logistic(e.value + other)
	e.slope += float64(c.Quality)/1e6 - float64(c.Judged)*chance
	e.information += informationOf(c, e.value+other)
}

func (e *effect) step() {
	const precision = 1 / (abilitySpread * abilitySpread)
	e.known = e.information + precision
	e.value += max(-1, min(1, (e.slope-precision*e.value)/e.known))
	e.slope, e.information = 0, 0
}

func informationOf(c *centralcloud.Counters, logit float64) float64 {
	chance := logistic(logit)
	return float64(c.Judged) * chance * (1 - chance)
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
