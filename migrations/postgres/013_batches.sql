-- +goose Up

-- A batch is added to until it is sealed. It ends once, when none of its runs
-- goes on, with a run of on_end that has the id callback_id.
ALTER TABLE singularity.batches
    ADD COLUMN sealed_at   timestamptz,
    ADD COLUMN callback_id uuid;

CREATE INDEX batches_open ON singularity.batches (id) WHERE finished_at IS NULL;
CREATE INDEX batches_ended ON singularity.batches (finished_at) WHERE finished_at IS NOT NULL;

-- Whether a batch has ended is a look at one entry. Runs without a batch are not
-- in it. What nobody looks for yet goes: each statement opens and locks every
-- index of the table, and past sixteen locks a transaction pays more for each.
DROP INDEX singularity.workflow_runs_batch;
CREATE INDEX workflow_runs_batch ON singularity.workflow_runs (batch_id, finished_at) WHERE batch_id IS NOT NULL;
DROP INDEX singularity.workflow_runs_parent;

-- +goose Down
CREATE INDEX workflow_runs_parent ON singularity.workflow_runs (parent_id) WHERE parent_id IS NOT NULL;
DROP INDEX singularity.workflow_runs_batch;
CREATE INDEX workflow_runs_batch ON singularity.workflow_runs (batch_id) WHERE batch_id IS NOT NULL;
DROP INDEX singularity.batches_ended;
DROP INDEX singularity.batches_open;
ALTER TABLE singularity.batches
    DROP COLUMN callback_id,
    DROP COLUMN sealed_at;
