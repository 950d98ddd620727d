package learner

// leastScored is how many scored calls of a task, of all arms together, make its
// quality rest on scores alone: then there are enough to learn from, and the verdicts
// of its steps, which only say that an answer had the right form, would drown them.
const leastScored = 50

// scored is what scores say of the quality of calls.
type scored struct{ n, quality, squares int64 }

func (s scored) plus(other scored, sign int64) scored {
	return scored{s.n + sign*other.n, s.quality + sign*other.quality, s.squares + sign*other.squares}
}

// preferScores replaces the verdicts of the tasks that have enough scores by these.
// Until then a score counts in the place of the verdict of its call.
func (p *picture) preferScores() {
	p.onScores = make([]bool, len(p.tasks))
	for t := range p.tasks {
		var n int64
		for a := range p.arms {
			if k := p.kinds[p.at(a, t)]; k != nil {
				n += k.scored(p.now)
			}
		}
		if p.onScores[t] = n >= leastScored; !p.onScores[t] {
			continue
		}
		for a := range p.arms {
			if i := p.at(a, t); p.kinds[i] != nil {
				p.kinds[i] = p.kinds[i].byScores()
			}
		}
	}
}

// judgements are what is said of the quality of a span's calls: by scores alone, or
// by verdicts too where there are no scores.
func (s span) judgements(onScores bool) scored {
	if onScores {
		return s.scored
	}
	return scored{s.judged, s.quality, s.squares}.plus(s.scored, 1)
}

// scored counts the scored calls that are remembered.
func (k *kind) scored(now int64) (n int64) {
	for b := range k.cells {
		for _, s := range k.cells[b].hours.between(now-forgotten, now+skew) {
			n += s.scored.n
		}
	}
	return n
}

// byScores is the kind as if scores were all that was ever said of it.
func (k *kind) byScores() *kind {
	seen := *k
	for b, c := range k.cells {
		seen.cells[b] = cell{epochs: c.epochs.byScores(), hours: c.hours.byScores()}
	}
	return &seen
}

func (s *series) byScores() series {
	seen := make(series, len(*s))
	for i, one := range *s {
		one.judged, one.quality, one.squares, one.scored = one.scored.n, one.scored.quality, one.scored.squares, scored{}
		seen[i] = one
	}
	return seen
}

// scoredPart is how much of the judged calls at a task is scores.
func (p *picture) scoredPart(task int, e *evidence) float64 {
	if p.onScores[task] {
		return e.judged
	}
	return e.scored
}
