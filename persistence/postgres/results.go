package postgres

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
)

// The run is as the commit left it that ended it. When that landed before, the
// result is replaced by itself.
var upsertResults = &statement{"upsert_results", `
INSERT INTO singularity.job_results (
	job_id, instance_id, job_type, workflow_type, success, error_reason, error_class,
	duration_ms, started_at, completed_at, cost_cents, model_used, tokens_used,
	patterns_discovered, insights, input_summary, result_summary, inserted_at, updated_at
)
SELECT run.id, coalesce((SELECT boot.instance_id FROM singularity.node_leases AS boot WHERE boot.boot = run.owner), run.owner),
	run.workflow, run.workflow, run.state = 'completed', run.error, w.error_class,
	trunc(extract(epoch FROM run.finished_at - run.started_at) * 1000), run.started_at, run.finished_at, w.cost, w.model, w.tokens,
	CASE WHEN w.patterns IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(w.patterns::jsonb)) END,
	w.insights::jsonb, w.input::jsonb, w.result::jsonb,
	run.finished_at, run.finished_at
FROM unnest(
	$1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::double precision[], $7::text[], $8::bigint[],
	$9::text[], $10::text[], $11::text[], $12::text[]
) AS w (id, boot, epoch, seq, error_class, cost, model, tokens, patterns, insights, input, result)
JOIN singularity.workflow_runs AS run ON run.id = ANY (ARRAY[w.id])
WHERE run.owner IS NOT DISTINCT FROM w.boot AND run.epoch = w.epoch AND run.seq = w.seq
	AND (run.state = 'completed' OR run.state = 'failed')
ON CONFLICT (job_id) DO UPDATE
SET instance_id = excluded.instance_id, success = excluded.success,
	error_reason = excluded.error_reason, error_class = excluded.error_class,
	duration_ms = excluded.duration_ms, started_at = excluded.started_at, completed_at = excluded.completed_at,
	cost_cents = excluded.cost_cents, model_used = excluded.model_used, tokens_used = excluded.tokens_used,
	patterns_discovered = excluded.patterns_discovered, insights = excluded.insights,
	input_summary = excluded.input_summary, result_summary = excluded.result_summary,
	updated_at = excluded.updated_at`}

// queueResults adds the job results of the runs that the batch ends.
func (c *commit) queueResults() error {
	if !slices.ContainsFunc(c.advances, hasResult) {
		return nil
	}
	list := newArrays(len(c.advances), pgtype.UUIDOID, pgtype.TextOID, pgtype.Int8OID, pgtype.Int8OID, pgtype.TextOID, pgtype.Float8OID,
		pgtype.TextOID, pgtype.Int8OID, pgtype.TextOID, pgtype.TextOID, pgtype.TextOID, pgtype.TextOID)
	for _, advance := range c.advances {
		if !hasResult(advance) {
			continue
		}
		if err := addResult(list, advance.write); err != nil {
			return err
		}
	}
	c.queue(upsertResults, list.params(), nil)
	return list.err
}

func hasResult(w placed[persistence.Advance]) bool {
	return w.write.State.Terminal() && w.write.Summary != nil
}

func addResult(list *arrays, w persistence.Advance) error {
	s := w.Summary
	var patterns []byte
	if s.Patterns != nil {
		var err error
		if patterns, err = json.Marshal(s.Patterns); err != nil {
			return fmt.Errorf("%w: patterns: %w", persistence.ErrBadWrite, err)
		}
	}
	list.uuid(w.Run)
	list.text(string(w.Boot))
	list.int8(w.Epoch)
	list.int8(w.Seq + 1)
	list.textOrNull(s.ErrorClass)
	if s.CostCents != nil {
		list.float8(*s.CostCents)
	} else {
		list.null()
	}
	list.textOrNull(s.Model)
	if s.Tokens != 0 {
		list.int8(s.Tokens)
	} else {
		list.null()
	}
	for _, document := range [][]byte{patterns, s.Insights, s.Input, s.Result} {
		list.bytes(forJSONB(document))
	}
	return nil
}
