package workflow

// Score says how good an answer was that a run got from a model, from whoever found
// out: a person, a test, a later program. It takes the place of what the run's own
// steps made of the answer, and of an earlier score of the same name.
type Score struct {
	Name  string  // of what was looked at, such as "quality"
	Value float64 // 0 to 1
	Step  string  // whose last answer is meant; empty for the last one of the run
}

// Scored is the answer that a score went to.
type Scored struct {
	Run  RunID  `json:"run"`
	Seq  int64  `json:"seq"` // of the line in the run's history
	Step string `json:"step"`
	Fact        // the record of the call, with all scores that it has
}

// MaxScores is how many names the scores of one answer may have.
const MaxScores = 16

// Check returns an [InputError] unless the score can be stored.
func (s Score) Check() error {
	switch {
	case !ValidName(s.Name):
		return Invalidf("name", "is %q; expected a short name such as quality: letters, digits, _, - and ., beginning with a letter or digit", s.Name)
	case !(s.Value >= 0 && s.Value <= 1): // NaN is neither
		return Invalidf("value", "is %g; expected a number from 0 (useless) to 1 (perfect)", s.Value)
	default:
		return nil
	}
}

// AddTo returns the scores of an answer with this one, and whether it is news. It
// leaves the given ones as they are.
func (s Score) AddTo(scores map[string]float64) (map[string]float64, bool, error) {
	value := float64(int64(s.Value*1e6+0.5)) / 1e6 // as exact as counters are
	before, named := scores[s.Name]
	if named && before == value {
		return scores, false, nil
	}
	if !named && len(scores) >= MaxScores {
		return nil, false, Invalidf("name", "%q would be one more than the %d that an answer may have; expected one that it has", s.Name, MaxScores)
	}
	added := map[string]float64{s.Name: value}
	for name, other := range scores {
		if name != s.Name {
			added[name] = other
		}
	}
	return added, true, nil
}
