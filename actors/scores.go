package actors

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"singularity/centralcloud"
	"singularity/persistence"
	"singularity/workflow"
)

// Score says how good the last answer was that a run got from a model and took. The
// hub hears of it for a day after the answer. An error wraps
// workflow.ErrNothingToScore when there is no such answer.
func (n *Node) Score(ctx context.Context, id workflow.RunID, score workflow.Score) (workflow.Scored, error) {
	if err := score.Check(); err != nil {
		return workflow.Scored{}, err
	}
	records, err := n.store.RecordsOf(ctx, id)
	if err != nil {
		return workflow.Scored{}, err
	}
	record, call, err := lastAnswer(records, score.Step)
	if err != nil {
		return workflow.Scored{}, fmt.Errorf("score run %s: %w", id, err)
	}
	scores, err := n.store.Score(ctx, record.RecordID, score)
	n.results.rescore() // also when nobody knows whether it is stored
	if err != nil {
		return workflow.Scored{}, err
	}
	return workflow.Scored{Run: id, Seq: record.Seq, Step: call.Step, Fact: workflow.Fact{
		Kind: persistence.CountedKind, Doc: record.Doc, At: record.StoredAt, Scores: scores,
	}}, nil
}

// lastAnswer finds the last answer of a step, or of any, that the step took.
func lastAnswer(records []persistence.Record, step string) (persistence.Record, centralcloud.Call, error) {
	var steps []string
	for _, record := range slices.Backward(records) {
		call, err := centralcloud.DecodeCall(record.Doc)
		if err != nil || call.ErrorClass != "" {
			continue
		}
		if step == "" || call.Step == step {
			return record, call, nil
		}
		if !slices.Contains(steps, call.Step) {
			steps = append(steps, call.Step)
		}
	}
	err := fmt.Errorf("%w: the run has called no model that gave one which its step took", workflow.ErrNothingToScore)
	if len(steps) > 0 {
		slices.Sort(steps)
		err = fmt.Errorf("%w of step %q; there are some of %s", workflow.ErrNothingToScore, step, strings.Join(steps, ", "))
	}
	return persistence.Record{}, centralcloud.Call{}, err
}
