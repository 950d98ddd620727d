package learner

import "math"

const (
	// Effects of arms and tasks have these variances beforehand, on the scale of
	// logits, and the mean of all arms this one.
	armVariance    = 1.0
	taskVariance   = 1.0
	commonVariance = 2.0
	// heterogeneity is how much arms differ by task, beforehand: a variance. What
	// the data say is shrunk to it, with the weight of so much precision.
	heterogeneity          = 0.45 * 0.45
	heterogeneityPrecision = 25.0
	leastHeterogeneity     = 0.01
	// bucketVariance is how much an arm differs by bucket of a task.
	bucketVariance = 0.15 * 0.15
	// clearly is how many standard deviations are no chance, though it is asked
	// again at each policy.
	clearly = 6
)

// belief is a normal distribution of a logit.
type belief struct{ mean, sd float64 }

func (b belief) success() float64 { return logistic(b.mean) }

// interval is where the success lies with 95 %.
func (b belief) interval() [2]float64 {
	reach := float64(1.96 * b.sd)
	return [2]float64{logistic(b.mean - reach), logistic(b.mean + reach)}
}

// estimates are what the evidence says of success.
type estimates struct {
	byTask   []belief // by arm and task
	byBucket []belief // by arm, task and bucket
	unknown  []belief // by arm: at a task of which nothing is known
	spread   float64  // the variance of what arms do at single tasks
	graded   bool     // whether buckets make a difference
}

// estimate fits a Rasch model: each arm has an ability, each task a difficulty.
// So an arm that was only given hard tasks is not marked down for them. What
// an arm does at a single task starts from its ability as seen at all others,
// and moves away from it as far as its own calls there say.
func (p *picture) estimate() estimates {
	fit := p.fitEffects()
	e := estimates{
		byTask:   make([]belief, len(p.byTask)),
		byBucket: make([]belief, len(p.byBucket)),
		unknown:  make([]belief, len(p.arms)),
		spread:   p.spread(fit),
	}
	for a := range p.arms {
		e.unknown[a] = belief{fit.ability[a] + fit.typical, math.Sqrt(fit.variance[a] + e.spread)}
		for t := range p.tasks {
			e.byTask[p.at(a, t)] = p.single(fit, e.spread, a, t)
		}
	}
	e.graded = p.bucketsDiffer(e.byTask)
	if e.graded {
		p.refineByBucket(fit, &e)
	}
	return e
}

// single is the belief about one arm at one task.
func (p *picture) single(fit effects, spread float64, arm, task int) belief {
	own := &p.byTask[p.at(arm, task)]
	prior := p.withoutTask(fit, arm, task)
	return update(prior, spread, own.judged, own.successes())
}

// withoutTask is an arm's ability at a task by all its calls but those at it.
func (p *picture) withoutTask(fit effects, arm, task int) belief {
	own := &p.byTask[p.at(arm, task)]
	chance := logistic(fit.ability[arm] + fit.difficulty[task])
	information := float64(own.judged * chance * (1 - chance))
	variance := min(armVariance, 1/max(1/fit.variance[arm]-information, 1/armVariance))
	shift := float64(variance * (own.successes() - float64(own.judged*chance)))
	return belief{fit.ability[arm] + fit.difficulty[task] - clipped(shift), math.Sqrt(variance)}
}

// update returns the belief after so many judged calls, by Laplace's method:
// the mode of the posterior, and its curvature there.
func update(prior belief, extraVariance, judged, successes float64) belief {
	precision := 1 / (square(prior.sd) + extraVariance)
	at, curvature := prior.mean, precision
	for range 6 {
		chance := logistic(at)
		curvature = precision + float64(judged*chance*(1-chance))
		slope := successes - float64(judged*chance) - float64(precision*(at-prior.mean))
		at += clipped(slope / curvature)
	}
	return belief{at, 1 / math.Sqrt(curvature)}
}

// spread estimates how much arms differ by task beyond what the effects say,
// by the method of moments: where models differ wildly from task to task, they
// lend each other less. The fit follows what is seen as far as its leverage, and
// only the rest of the information tells how much it is off.
func (p *picture) spread(fit effects) float64 {
	variance := heterogeneity
	for range 2 {
		weights, sum := heterogeneityPrecision, float64(heterogeneityPrecision*heterogeneity)
		for a := range p.arms {
			for t := range p.tasks {
				own := &p.byTask[p.at(a, t)]
				chance := logistic(fit.ability[a] + fit.difficulty[t])
				information := float64(own.judged * chance * (1 - chance) * (1 - fit.leverage[p.at(a, t)]))
				if information < 1 {
					continue
				}
				excess := (square(own.successes()-float64(own.judged*chance)) - information) / square(information)
				weight := 1 / (2 * square(1/information+variance))
				weights += weight
				sum += float64(weight * excess)
			}
		}
		variance = max(leastHeterogeneity, sum/weights)
	}
	return variance
}

// bucketsDiffer reports whether arms do differently by bucket than their tasks
// say, so much that it is no chance.
func (p *picture) bucketsDiffer(byTask []belief) bool {
	var excess, variance float64
	for i, task := range byTask {
		var difference [buckets]float64
		var information, mean float64
		chance := task.success()
		for k := range buckets {
			own := &p.byBucket[i*buckets+k]
			difference[k] = own.successes() - float64(own.judged*chance)
			mean += difference[k]
			information += float64(own.judged * chance * (1 - chance))
		}
		for k := range buckets {
			own := &p.byBucket[i*buckets+k]
			expected := float64(own.judged * chance * (1 - chance))
			if expected < 2 || information-expected < 2 {
				continue
			}
			share := expected / information
			statistic := square(difference[k]-float64(mean*share)) / float64(expected*(1-share))
			excess += statistic - 1
			variance += 2
		}
	}
	return variance > 0 && excess > float64(clearly*math.Sqrt(variance))
}

// refineByBucket moves from the belief about a task to those about its buckets,
// each from the others' calls and then by its own.
func (p *picture) refineByBucket(fit effects, e *estimates) {
	for a := range p.arms {
		for t := range p.tasks {
			i := p.at(a, t)
			prior, all := p.withoutTask(fit, a, t), &p.byTask[i]
			for k := range buckets {
				own := &p.byBucket[i*buckets+k]
				others := update(prior, e.spread, max(0, all.judged-own.judged), max(0, all.successes()-own.successes()))
				e.byBucket[i*buckets+k] = update(others, bucketVariance, own.judged, own.successes())
			}
		}
	}
}
