package sqlite

import (
	"encoding/json"
	"fmt"

	"singularity/persistence"
	"singularity/workflow"
)

const upsertResult = `
INSERT INTO job_results (
	job_id, instance_id, job_type, workflow_type, success, error_reason, error_class,
	duration_ms, started_at, completed_at, cost_cents, model_used, tokens_used,
	patterns_discovered, insights, input_summary, result_summary, inserted_at, updated_at
)
SELECT run.id, coalesce(boot.instance_id, run.owner), run.workflow, run.workflow, run.state = 'completed', run.error, ?,
	(run.finished_at - run.started_at) / 1000, run.started_at, run.finished_at, ?, ?, ?, ?, ?, ?, ?,
	run.finished_at, run.finished_at
FROM ` + runTables + `
WHERE run.id = ?
ON CONFLICT (job_id) DO UPDATE
SET instance_id = excluded.instance_id, success = excluded.success,
	error_reason = excluded.error_reason, error_class = excluded.error_class,
	duration_ms = excluded.duration_ms, started_at = excluded.started_at, completed_at = excluded.completed_at,
	cost_cents = excluded.cost_cents, model_used = excluded.model_used, tokens_used = excluded.tokens_used,
	patterns_discovered = excluded.patterns_discovered, insights = excluded.insights,
	input_summary = excluded.input_summary, result_summary = excluded.result_summary,
	updated_at = excluded.updated_at`

// summarize writes the job result of a run that w has just ended.
func (t *tx) summarize(w persistence.Advance) error {
	s := w.Summary
	patterns, err := encodePatterns(s)
	if err != nil {
		return err
	}
	var cost, tokens any
	if s.CostCents != nil {
		cost = *s.CostCents
	}
	if s.Tokens != 0 {
		tokens = s.Tokens
	}
	_, err = t.exec(upsertResult,
		text(s.ErrorClass), cost, text(s.Model), tokens,
		patterns, document(s.Insights), document(s.Input), document(s.Result), w.Run.String())
	return err
}

func encodePatterns(s *workflow.Summary) (any, error) {
	if s.Patterns == nil {
		return nil, nil
	}
	list, err := json.Marshal(s.Patterns)
	if err != nil {
		return nil, fmt.Errorf("%w: patterns: %w", persistence.ErrBadWrite, err)
	}
	return string(list), nil
}
