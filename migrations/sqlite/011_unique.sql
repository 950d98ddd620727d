-- +goose Up

-- A run with a unique key shares it with no other that holds it; its own key is
-- for those who look for it, and may be others', too.
ALTER TABLE workflow_runs ADD COLUMN unique_key BLOB;       -- a hash of what the run is unique by; empty once its time was over
ALTER TABLE workflow_runs ADD COLUMN unique_until INTEGER;  -- NULL while the run has not ended

DROP INDEX workflow_runs_key;
CREATE UNIQUE INDEX workflow_runs_key ON workflow_runs (workflow, key)
    WHERE key IS NOT NULL AND state <> 'failed' AND state <> 'cancelled' AND state <> 'quarantined' AND unique_key IS NULL;

CREATE UNIQUE INDEX workflow_runs_unique ON workflow_runs (unique_key)
    WHERE unique_key <> x'' AND state <> 'failed' AND state <> 'cancelled' AND state <> 'quarantined'
        AND (state <> 'completed' OR unique_until IS NOT NULL);

-- +goose Down
DROP INDEX workflow_runs_unique;
DROP INDEX workflow_runs_key;
UPDATE workflow_runs SET key = NULL WHERE unique_key IS NOT NULL;
CREATE UNIQUE INDEX workflow_runs_key ON workflow_runs (workflow, key)
    WHERE key IS NOT NULL AND state <> 'failed' AND state <> 'cancelled' AND state <> 'quarantined';
ALTER TABLE workflow_runs DROP COLUMN unique_until;
ALTER TABLE workflow_runs DROP COLUMN unique_key;
