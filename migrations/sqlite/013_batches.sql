-- +goose Up

-- A batch is added to until it is sealed. It ends once, when none of its runs
-- goes on, with a run of on_end that has the id callback_id.
ALTER TABLE batches ADD COLUMN sealed_at INTEGER;
ALTER TABLE batches ADD COLUMN callback_id TEXT;

CREATE INDEX batches_open ON batches (id) WHERE finished_at IS NULL;
CREATE INDEX batches_ended ON batches (finished_at) WHERE finished_at IS NOT NULL;

-- Whether a batch has ended is a look at one entry. Runs without a batch are not
-- in it. What nobody looks for yet goes.
DROP INDEX workflow_runs_batch;
CREATE INDEX workflow_runs_batch ON workflow_runs (batch_id, finished_at) WHERE batch_id IS NOT NULL;
DROP INDEX workflow_runs_parent;

-- +goose Down
CREATE INDEX workflow_runs_parent ON workflow_runs (parent_id) WHERE parent_id IS NOT NULL;
DROP INDEX workflow_runs_batch;
CREATE INDEX workflow_runs_batch ON workflow_runs (batch_id) WHERE batch_id IS NOT NULL;
DROP INDEX batches_ended;
DROP INDEX batches_open;
ALTER TABLE batches DROP COLUMN callback_id;
ALTER TABLE batches DROP COLUMN sealed_at;
