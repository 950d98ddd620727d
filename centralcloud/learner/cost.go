package learner

// consumption is the tokens that a call is expected to use.
type consumption struct{ in, out float64 }

// cost is what that costs, in nano-dollars.
func (c consumption) cost(price Price) float64 {
	return (float64(c.in*float64(price.In)) + float64(c.out*float64(price.Out))) / 1000
}

const (
	// A call of which nothing is known has the tokens of a short question and a
	// short answer. What is known in general counts as so many calls.
	unknownIn, unknownOut = 500.0, 250.0
	generalCalls          = 4.0
)

// consumptions learn tokens, not money, so that a new price acts at once. The
// request is as long for every arm; answers differ by arm and by task.
type consumptions struct {
	byTask  []consumption // by arm and task
	unknown []consumption // by arm: at a task of which nothing is known
	calls   []float64     // by task, of all arms
}

func (p *picture) consumptions() consumptions {
	arms, tasks := len(p.arms), len(p.tasks)
	c := consumptions{
		byTask:  make([]consumption, arms*tasks),
		unknown: make([]consumption, arms),
		calls:   make([]float64, tasks),
	}
	var all evidence
	ofTask, ofArm := make([]evidence, tasks), make([]evidence, arms)
	for a := range arms {
		for t := range tasks {
			own := p.byTask[p.at(a, t)]
			ofTask[t].merge(own)
			ofArm[a].merge(own)
			all.merge(own)
		}
	}
	general := average(all, consumption{unknownIn, unknownOut})
	taskLevel := make([]consumption, tasks)
	for t := range tasks {
		c.calls[t] = ofTask[t].calls
		taskLevel[t] = average(ofTask[t], general)
	}
	for a := range arms {
		// How talkative the arm is, beside what its mix of tasks asks for.
		var expected float64
		for t := range tasks {
			expected += float64(p.byTask[p.at(a, t)].calls * taskLevel[t].out)
		}
		pseudo := float64(generalCalls * general.out)
		talkative := (ofArm[a].out + pseudo) / (expected + pseudo)
		c.unknown[a] = consumption{general.in, float64(general.out * talkative)}
		for t := range tasks {
			c.byTask[p.at(a, t)] = consumption{
				in:  taskLevel[t].in,
				out: average(p.byTask[p.at(a, t)], consumption{taskLevel[t].in, float64(taskLevel[t].out * talkative)}).out,
			}
		}
	}
	return c
}

// average is the tokens of a call by the evidence, and by what is known in
// general where there is little.
func average(e evidence, general consumption) consumption {
	calls := e.calls + generalCalls
	return consumption{
		in:  (e.in + float64(generalCalls*general.in)) / calls,
		out: (e.out + float64(generalCalls*general.out)) / calls,
	}
}
