package learner

// effects are the main effects of the Rasch model.
type effects struct {
	ability    []float64 // by arm
	variance   []float64 // of the abilities
	difficulty []float64 // by task; higher is easier
	typical    float64   // the mean difficulty of the calls
	leverage   []float64 // by arm and task: how far the fit follows what is seen there
}

// fitEffects maximises the posterior of all effects by eight steps of Newton's
// method. Tasks meet only arms in its equations, so they are eliminated first,
// and what is left to solve has the size of the arms.
func (p *picture) fitEffects() effects {
	arms, tasks := len(p.arms), len(p.tasks)
	fit := effects{ability: make([]float64, arms), variance: make([]float64, arms), difficulty: make([]float64, tasks)}
	prior := p.priors()
	copy(fit.ability, prior)

	slopeOfArm, slopeOfTask := make([]float64, arms), make([]float64, tasks)
	ofTask, cross := make([]float64, tasks), make([]float64, arms*tasks)
	system := newMatrix(arms)
	var inverse matrix
	for range 8 {
		p.curve(fit, prior, slopeOfArm, slopeOfTask, ofTask, cross, system)
		// Eliminate the tasks.
		for a := range arms {
			for t := range tasks {
				factor := cross[a*tasks+t] / ofTask[t]
				if factor == 0 {
					continue
				}
				slopeOfArm[a] -= float64(factor * slopeOfTask[t])
				for b := range arms {
					system.cells[a*arms+b] -= float64(factor * cross[b*tasks+t])
				}
			}
		}
		inverse = system.inverse()
		step := inverse.times(slopeOfArm)
		for t := range tasks {
			slope := slopeOfTask[t]
			for a := range arms {
				slope -= float64(cross[a*tasks+t] * step[a])
			}
			fit.difficulty[t] += clipped(slope / ofTask[t])
		}
		for a := range arms {
			fit.ability[a] += clipped(step[a])
			fit.variance[a] = inverse.cells[a*arms+a]
		}
	}
	fit.leverage = leverages(inverse, ofTask, cross)

	var calls float64
	for t := range tasks {
		for a := range arms {
			n := p.byTask[p.at(a, t)].calls
			calls += n
			fit.typical += float64(n * fit.difficulty[t])
		}
	}
	if calls > 0 {
		fit.typical /= calls
	}
	return fit
}

// leverages are the diagonal of the hat matrix: information times the variance
// of what is fitted, an ability and a difficulty.
func leverages(inverse matrix, ofTask, cross []float64) []float64 {
	tasks, arms := len(ofTask), len(cross)/max(1, len(ofTask))
	leverage := make([]float64, len(cross))
	share := make([]float64, arms)
	for t := range tasks {
		for a := range arms {
			share[a] = cross[a*tasks+t] / ofTask[t]
		}
		common := inverse.times(share)
		difficulty := 1 / ofTask[t]
		for a := range arms {
			difficulty += float64(share[a] * common[a])
		}
		for a := range arms {
			variance := inverse.cells[a*arms+a] - float64(2*common[a]) + difficulty
			leverage[a*tasks+t] = float64(cross[a*tasks+t] * variance)
		}
	}
	return leverage
}

// curve computes slope and curvature of the posterior at the present fit.
func (p *picture) curve(fit effects, prior, slopeOfArm, slopeOfTask, ofTask, cross []float64, system matrix) {
	arms, tasks := len(p.arms), len(p.tasks)
	// Arms have a mean in common, of which little is known: their prior
	// precision is that of independent arms, less what moves all of them.
	precision := 1 / armVariance
	common := float64(precision*precision) / (1/commonVariance + float64(precision*float64(arms)))
	var off float64
	for a := range arms {
		off += fit.ability[a] - prior[a]
	}
	for a := range arms {
		slopeOfArm[a] = float64(common*off) - float64(precision*(fit.ability[a]-prior[a]))
		for b := range arms {
			system.cells[a*arms+b] = -common
		}
		system.cells[a*arms+a] += precision
	}
	for t := range tasks {
		slopeOfTask[t] = -fit.difficulty[t] / taskVariance
		ofTask[t] = 1 / taskVariance
	}
	for a := range arms {
		for t := range tasks {
			own := &p.byTask[p.at(a, t)]
			cross[a*tasks+t] = 0
			if own.judged <= 0 {
				continue
			}
			chance := logistic(fit.ability[a] + fit.difficulty[t])
			residual := own.successes() - float64(own.judged*chance)
			information := float64(own.judged * chance * (1 - chance))
			slopeOfArm[a] += residual
			slopeOfTask[t] += residual
			system.cells[a*arms+a] += information
			ofTask[t] += information
			cross[a*tasks+t] = information
		}
	}
}

// priors are the abilities to expect beforehand.
func (p *picture) priors() []float64 {
	prior := make([]float64, len(p.arms))
	for a, arm := range p.arms {
		prior[a] = logit(orDefault(p.config.facts(arm.Arm).Prior, 0.5))
	}
	return prior
}

func clipped(step float64) float64 { return max(-2, min(2, step)) }
