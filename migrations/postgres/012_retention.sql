-- +goose Up

-- Each queue may keep its ended runs for a time of its own.
DROP INDEX singularity.workflow_runs_ended;
CREATE INDEX workflow_runs_ended ON singularity.workflow_runs (state, queue, finished_at) WHERE finished_at IS NOT NULL;

ALTER TABLE singularity.queues
    ADD COLUMN retain_completed integer,       -- seconds for completed and cancelled runs
    ADD COLUMN retain_failed    integer;       -- seconds for failed and quarantined ones

-- The system's own runs, which delete what has expired: a few at most.
CREATE INDEX workflow_runs_retention ON singularity.workflow_runs (finished_at) WHERE workflow = 'singularity.retention';

-- +goose Down
DROP INDEX singularity.workflow_runs_retention;
DROP INDEX singularity.workflow_runs_ended;
CREATE INDEX workflow_runs_ended ON singularity.workflow_runs (state, finished_at) WHERE finished_at IS NOT NULL;
ALTER TABLE singularity.queues DROP COLUMN retain_failed, DROP COLUMN retain_completed;
